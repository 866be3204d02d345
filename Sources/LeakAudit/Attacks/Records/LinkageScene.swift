import Models
import Foundation
import Numerics

/// Candidates and masked records side by side, with all that is compared of them.
struct LinkageScene: Sendable {
  /// As a key would act on them, `[candidates, width]`.
  let candidates: Tensor<Double>
  let norms: [Double]
  let lengths: [Int32]
  /// Of the masked records.
  let rowNorms: [Double]
  let rowLengths: [Int32]
  /// Residuals of what a key leaves of a single record, `[candidates, rows]`.
  let singles: Tensor<Double>
  let usesNorms: Bool
  /// ‖x'_r − x'_s‖² of the masked records, `[rows, rows]`, rounded to what the rows are.
  let distances: Tensor<Float>

  var rows: Int { rowLengths.count }
  var width: Int { candidates.columns }
  var meanSquare: Double { norms.reduce(0, +) / Double(max(1, norms.count)) }

  init(candidates known: Records, view: ProviderView, compute: Compute) {
    let records = view.records
    candidates = known.lifted(to: records.vectors.columns, view.inputLayout)
    norms = candidates.squaredNorms
    lengths = known.lengths
    rowNorms = records.vectors.squaredNorms
    rowLengths = records.lengths
    let masked = RecordSignatures(records.vectors, group: view.inputGroup, compute: compute)
    singles = RecordSignatures(candidates, group: view.inputGroup, compute: compute)
      .residuals(to: masked, compute: compute)
    usesNorms = masked.areNorms
    distances = records.vectors.squaredDistances(to: records.vectors, compute: compute).converted()
  }

  /// ‖c_i − c_j‖² of two candidates.
  func distance(_ first: Int, _ second: Int) -> Double {
    candidates.withUnsafeBufferPointer { elements in
      var sum = 0.0
      for column in 0..<width {
        let difference = elements[first * width + column] - elements[second * width + column]
        sum += difference * difference
      }
      return sum
    }
  }
}

/// What noise on the masked rows would make of norms and distances, if there is any.
struct LinkageNoise: Sendable {
  /// What rounding to 32-bit floats leaves of a squared norm or distance: inputs, key and their product are each rounded to 2⁻²⁴, which adds
  /// up to some 10⁻⁷ of a squared norm; with room for a key that is orthogonal to as much.
  private static let rounding = 5e-7

  /// σ² of each coordinate of a row.
  let variance: Double
  let width: Double
  /// Whether single records are compared by squared norms, else by the distance of their signatures.
  let usesNorms: Bool

  /// - Parameters:
  ///   - share: the noise's length over a record's.
  ///   - meanSquare: of the candidates' lengths.
  init(share: Double, meanSquare: Double, width: Int, usesNorms: Bool) {
    self.width = Double(width)
    variance = share * share * meanSquare / Double(max(1, width))
    self.usesNorms = usesNorms
  }

  /// Of the mean of `length` rows.
  private func variance(_ length: Int32) -> Double { variance / Double(max(1, length)) }

  /// What the noise adds to the residual of a record by itself, and how far it spreads that.
  func single(norm: Double, length: Int32) -> (bias: Double, scale: Double) {
    let own = variance(length)
    guard usesNorms else {
      return (0, max(.leastNormalMagnitude, (width * own + Self.rounding * Self.rounding * norm).squareRoot()))
    }
    let rounded = Self.rounding * norm
    let spread = 4 * own * norm + 2 * width * own * own + rounded * rounded
    return (width * own, max(.leastNormalMagnitude, spread.squareRoot()))
  }

  /// The same of a squared distance between two records.
  func pair(
    distance: Double, norms: (Double, Double), lengths: (Int32, Int32)
  ) -> (bias: Double, scale: Double) {
    let both = variance(lengths.0) + variance(lengths.1)
    let rounded = Self.rounding * (norms.0 + norms.1)
    let spread = 4 * both * distance + 2 * width * both * both + rounded * rounded
    return (width * both, max(.leastNormalMagnitude, spread.squareRoot()))
  }
}

extension LinkageNoise {
  /// The noise under which some groups of candidates find the most evidence: whoever masks need not have said how much there is.
  ///
  /// Noise lengthens the rows by a known share, so that more of it than the mean of the norms allows is not tried; less is looked for
  /// by factors, first coarse and then finer.
  static func estimate(
    _ scene: LinkageScene, groups: [[Int]], settings: GroupMatching.Settings, compute: Compute, until deadline: Deadline
  ) -> LinkageNoise {
    func noise(_ share: Double) -> LinkageNoise {
      LinkageNoise(share: share, meanSquare: scene.meanSquare, width: scene.width, usesNorms: scene.usesNorms)
    }
    func evidence(_ share: Double) -> (sum: Double, isComplete: Bool) {
      let outcomes = LinkageGroups(scene: scene, noise: noise(share), settings: settings)
        .outcomes(groups, compute: compute, until: deadline)
      return (outcomes.reduce(0) { $0 + ($1?.evidence ?? 0) }, outcomes.allSatisfy { $0?.isComplete == true })
    }
    let (lowest, highest) = scene.shareOfNoise
    var best = (share: 0.0, evidence: lowest > 0 ? 0 : evidence(0).sum)
    func look(at shares: [Double]) {
      for share in shares where share >= lowest && share <= highest && !deadline.hasPassed {
        let found = evidence(share)
        // What was cut short is no measure of the others.
        if found.isComplete, found.sum > best.evidence { best = (share, found.sum) }
      }
    }
    if lowest > 0 { best.share = (lowest + highest) / 2 }
    look(at: lowest > 0 ? [lowest, (lowest + highest) / 2, highest] : [1.6e-4, 2.5e-3, 4e-2])
    if best.share > 0 {
      for factors in [[0.25, 4], [0.5, 0.7, 1.4, 2], [0.84, 0.92, 1.09, 1.19]] {
        let share = best.share
        look(at: factors.map { $0 * share })
      }
    }
    return noise(best.share)
  }
}

extension LinkageScene {
  /// Between which shares of a record's length noise may have, by what the masked rows are longer than the candidates on average; three
  /// standard errors to either side.
  fileprivate var shareOfNoise: (lowest: Double, highest: Double) {
    func moments(_ values: [Double]) -> (mean: Double, error: Double) {
      let count = Double(max(1, values.count))
      let mean = values.reduce(0, +) / count
      let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count
      return (mean, variance / count)
    }
    let (masked, known) = (moments(rowNorms), moments(norms))
    let reach = 3 * (masked.error + known.error).squareRoot()
    guard known.mean > 0 else { return (0, 0) }
    func share(_ excess: Double) -> Double { max(0, excess / known.mean).squareRoot() }
    return (share(masked.mean - known.mean - reach), share(masked.mean - known.mean + reach))
  }
}
