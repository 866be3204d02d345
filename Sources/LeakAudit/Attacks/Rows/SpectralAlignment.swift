package import Models
package import Numerics

/// Rows from their covariance: a key turns the principal components of the masked rows, but keeps their order and their distributions, and
/// those of public rows of the same kind are known.
///
/// Known as PCA attack (Liu, Giannella and Kargupta, PKDD 2006), here with signs by third moments, and refined by bringing the two sets of rows
/// together (`PointClouds`).
package struct SpectralAlignment: Attack {
  package struct Knowledge: Sendable {
    /// Which kind of key the masked job's input has: the protocol says it.
    package let group: SymmetryGroup
    /// `[s, d]`: public rows, none of them in the view.
    package let sample: Tensor<Float>
  }

  package struct Claim: Sendable {
    /// `[n, d]`.
    package let rows: Tensor<Float>
    /// Components whose sign and order were worked out; 0 where columns were matched by their statistics.
    package let components: Int
  }

  package static let facts = AttackFacts(
    kind: .spectralAlignment, title: "Spectral alignment", knowledge: "a public sample of the same kind of data",
    metric:
      "share of columns reconstructed with an absolute correlation above 0.9 (one key: no interval)",
    isWorseWhenHigher: true,
    source: "Liu, Giannella and Kargupta, PKDD 2006; Grave, Joulin and Berthet, AISTATS 2019, algorithm 1")
  /// Of the absolute correlation: what counts as a column reconstructed.
  package static let threshold = 0.9
  /// Principal components taken into the reconstruction, and the first of them, which are turned against each other in the refinement.
  private static let maxComponents = 512
  private static let maxRefined = 64

  private let compute: Compute
  private let settings: PointClouds.Settings

  /// - Parameters:
  ///   - batch, rounds: rows matched softly at a time, and how often.
  ///   - judged: rows that a turn is judged by at most.
  package init(compute: Compute, batch: Int = 256, rounds: Int = 40, judged: Int = 1024) {
    self.compute = compute
    settings = PointClouds.Settings(batch: batch, rounds: rounds, judged: judged)
  }

  package func knowledge(
    of evidence: Evidence, truth: OwnerTruth, random: inout some RandomNumberGenerator
  ) throws(Inapplicable) -> Knowledge {
    let sample = evidence.knowledge.sampleRows
    guard sample.rows >= 8, sample.columns == truth.rows.columns else {
      throw Inapplicable("there are fewer than eight public rows of the same kind")
    }
    return Knowledge(group: evidence.masked.inputGroup, sample: sample)
  }

  package func attempt(
    on view: ProviderView, knowing knowledge: Knowledge, random: inout some RandomNumberGenerator,
    until deadline: Deadline
  ) throws -> Claim {
    let masked = view.inputs.converted(to: Double.self)
    let sample = knowledge.sample.converted(to: Double.self)
    let isPermuted = knowledge.group == .permutation || knowledge.group == .signedPermutation
    let aligned = try alignment(masked: masked, sample: sample, random: &random, until: deadline)
    guard isPermuted else { return Claim(rows: aligned.rows.converted(), components: aligned.components) }
    // The key is known to move columns only: the turn found is one hint at which, the columns' statistics are another.
    let matched = ColumnStatistics(compute: compute).reconstruction(
      masked: masked, sample: sample, hint: aligned.rows, isSigned: knowledge.group == .signedPermutation,
      until: deadline)
    return Claim(rows: matched.converted(), components: 0)
  }

  private func alignment(
    masked: Tensor<Double>, sample: Tensor<Double>, random: inout some RandomNumberGenerator, until deadline: Deadline
  ) throws -> (rows: Tensor<Double>, components: Int) {
    let left = try PrincipalComponents(of: masked, maxComponents: Self.maxComponents, compute: compute)
    let right = try PrincipalComponents(of: sample, maxComponents: Self.maxComponents, compute: compute)
    let count = min(left.variances.count, right.variances.count)
    let signs = ThirdMoments.signs(left.scores.firstColumns(count), right.scores.firstColumns(count))
    var scores = left.scores.firstColumns(count).scalingColumns(by: signs.map { $0.sign })

    let refined = min(count, Self.maxRefined)
    if refined > 0 {
      let clouds = PointClouds(
        masked: scores.firstColumns(refined), sample: right.scores.firstColumns(refined), settings: settings,
        compute: compute)
      var turn = Tensor<Double>(zeros: [refined, refined])
      for index in 0..<refined { turn[index, index] = 1 }
      // Where a third moment says nothing, the distance between the clouds decides.
      var nearest = clouds.distances(under: turn)
      for index in 0..<min(refined, 24) where !signs[index].isCertain && !deadline.hasPassed {
        turn[index, index] = -1
        let distances = clouds.distances(under: turn)
        if PointClouds.areCloser(distances, than: nearest) { nearest = distances } else { turn[index, index] = 1 }
      }
      turn = try clouds.refined(from: turn, random: &random, until: deadline)
      let turned = scores.firstColumns(refined).times(turn, compute: compute)
      for row in 0..<scores.rows {
        for column in 0..<refined { scores[row, column] = turned[row, column] }
      }
    }
    let rows = scores.times(right.directions.slice(rows: 0..<count), compute: compute).adding(right.mean)
    return (rows, count)
  }

  /// All columns come from one key and one fit, and are found or missed together: they are no trials of their own that an interval could be
  /// taken from. Chance: a claim that knows nothing correlates by about 1/√n with a column, 0.9 never.
  package func score(_ claim: Claim, truth: OwnerTruth) -> Measurement {
    let same = ColumnCorrelations.same(truth.rows, claimed: claim.rows)
    let found = same.filter { $0 > Self.threshold }.count
    let error = RelativeError(of: claim.rows, against: truth.rows)
    return Measurement(
      value: same.isEmpty ? nil : Double(found) / Double(same.count),
      interval: nil, chance: 0,
      rows: claim.rows.rows,
      details: [
        Measurement.Detail("relative error", error.value),
        Measurement.Detail("mean absolute correlation", same.reduce(0, +) / Double(max(1, same.count))),
        Measurement.Detail("components aligned", Double(claim.components)),
      ])
  }

  package func meaning(of measurement: Measurement, evidence: Evidence) -> String {
    guard let value = measurement.value else { return "No column varies: there is nothing to reconstruct." }
    return "A provider with public rows of the same kind rebuilds \(ReportNumber.percent(value)) % of the columns "
      + "with a correlation above 0.9, without knowing any of these rows."
  }
}

/// The signs by which columns' third moments agree.
enum ThirdMoments {
  struct Sign: Sendable {
    /// 1 or −1.
    let sign: Double
    /// Whether both third moments are beyond what symmetric data show by chance.
    let isCertain: Bool
  }

  /// - Parameters:
  ///   - left, right: `[n, q]` and `[s, q]`, columns of mean 0.
  static func signs(_ left: Tensor<Double>, _ right: Tensor<Double>) -> [Sign] {
    zip(skewnesses(left), skewnesses(right)).map { a, b in
      // Of n normal numbers the skewness has the deviation √(6/n) (Fisher, Proc. R. Soc. A 130, 1930); three of them are certain enough.
      let isCertain =
        abs(a) > 3 * (6 / Double(left.rows)).squareRoot() && abs(b) > 3 * (6 / Double(right.rows)).squareRoot()
      return Sign(sign: a * b < 0 ? -1 : 1, isCertain: isCertain)
    }
  }

  private static func skewnesses(_ columns: Tensor<Double>) -> [Double] {
    let (rows, width) = (columns.rows, columns.columns)
    var second = [Double](repeating: 0, count: width)
    var third = second
    columns.withUnsafeBufferPointer { elements in
      for row in 0..<rows {
        for column in 0..<width {
          let value = elements[row * width + column]
          second[column] += value * value
          third[column] += value * value * value
        }
      }
    }
    let n = Double(max(1, rows))
    return zip(second, third).map { $0 > 0 ? ($1 / n) / (($0 / n) * ($0 / n).squareRoot()) : 0 }
  }
}
