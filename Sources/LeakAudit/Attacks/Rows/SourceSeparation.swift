package import Models
package import Numerics

/// Columns out of nothing but masked rows: independent columns that are not Gaussian are the least Gaussian turns of any mixture of them.
///
/// FastICA on the masked rows; and on the first layer's initial weights, whose rows W K⁻¹ are a mixture by the same key: drawn from a uniform
/// distribution, as PyTorch does, they give the key away where there are enough of them; drawn from a Gaussian one they cannot.
/// As an attack on rotated data: Guo and Wu, "Deriving private information from arbitrarily projected data", PAKDD 2007.
package struct SourceSeparation: Attack {
  package struct Knowledge: Sendable {
    /// Which kind of key the masked job's input has: the protocol says it.
    package let group: SymmetryGroup
  }

  package struct Claim: Sendable {
    /// `[n, c]`: columns that are claimed to be columns of the plaintext, up to sign and scale.
    package let components: Tensor<Float>
    /// As many random turns of the same whitened rows, several times over: what to score for chance.
    package let guesses: [Tensor<Float>]
    /// Components from the masked rows, and from the first layer's weights.
    package let fromRows: Int
    package let fromWeights: Int
  }

  package static let facts = AttackFacts(
    kind: .sourceSeparation, title: "Blind source separation", knowledge: "nothing beside what the job sends",
    metric: "share of columns found with an absolute correlation above 0.9 (one key: no interval)",
    isWorseWhenHigher: true,
    source: "Hyvärinen, IEEE Trans. Neural Netw. 10(3), 1999; Guo and Wu, PAKDD 2007")
  /// Of the absolute correlation: what counts as a column found.
  package static let threshold = 0.9
  private static let draws = 3
  /// Components separated at most, the first principal ones; a fifth of the rows at most, too.
  private static let maxComponents = 256

  private let compute: Compute
  private let restarts: Int

  /// - Parameter restarts: times that every non-linearity is tried.
  package init(compute: Compute, restarts: Int = 2) {
    self.compute = compute
    self.restarts = restarts
  }

  package func knowledge(
    of evidence: Evidence, truth: OwnerTruth, random: inout some RandomNumberGenerator
  ) throws(Inapplicable) -> Knowledge {
    guard truth.rows.rows >= 10 else { throw Inapplicable("there are fewer than ten rows to tell columns apart by") }
    return Knowledge(group: evidence.masked.inputGroup)
  }

  package func attempt(
    on view: ProviderView, knowing knowledge: Knowledge, random: inout some RandomNumberGenerator,
    until deadline: Deadline
  ) throws -> Claim {
    let masked = view.inputs.converted(to: Double.self)
    var claims: [Tensor<Double>] = []
    // The weights first: there are few of them.
    var fromWeights = 0
    if let weights = firstLayer(of: view),
      let directions = try separatedWeights(weights, random: &random, until: deadline)
    {
      fromWeights = directions.rows
      claims.append(masked.times(directions, otherTransposed: true, compute: compute))
    }
    let principal = try PrincipalComponents(
      of: masked, maxComponents: max(1, min(Self.maxComponents, masked.rows / 5)), compute: compute)
    let white = principal.scores.scalingColumns(by: principal.variances.map { 1 / $0.squareRoot() })
    var guesses: [Tensor<Float>] = []
    if white.columns > 0 {
      let found = try FastICA(compute: compute).separate(white, restarts: restarts, random: &random, until: deadline)
      claims.append(white.times(found.turn, otherTransposed: true, compute: compute))
      for _ in 0..<Self.draws {
        let turn = try FastICA.randomTurn(white.columns, random: &random, compute: compute)
        guesses.append(white.times(turn, otherTransposed: true, compute: compute).converted())
      }
    }
    // Columns in another order are columns still.
    if knowledge.group == .permutation || knowledge.group == .signedPermutation { claims.append(masked) }
    return Claim(
      components: Tensor.beside(claims, rows: masked.rows).converted(), guesses: guesses, fromRows: white.columns,
      fromWeights: fromWeights)
  }

  /// The weight that reads the input; nil where there is none, or it has too few rows to separate.
  private func firstLayer(of view: ProviderView) -> Tensor<Double>? {
    let index = view.parameters.firstIndex { $0.columns == view.input && $0.shape.count == 2 }
    guard let index, index < view.initialWeights.count else { return nil }
    let weights = view.initialWeights[index]
    guard weights.columns == view.inputs.columns, weights.rows > 2 * weights.columns else { return nil }
    return weights.converted(to: Double.self)
  }

  /// `[k, w]`: directions of the input that the weights' independent columns belong to.
  private func separatedWeights(
    _ weights: Tensor<Double>, random: inout some RandomNumberGenerator, until deadline: Deadline
  ) throws -> Tensor<Double>? {
    let principal = try PrincipalComponents(of: weights, maxComponents: Self.maxComponents, compute: compute)
    guard !principal.variances.isEmpty else { return nil }
    let white = principal.scores.scalingColumns(by: principal.variances.map { 1 / $0.squareRoot() })
    let found = try FastICA(compute: compute).separate(white, restarts: restarts, random: &random, until: deadline)
    // Entries of one layer are all drawn alike: without whitening's stretch the turn is the key's own.
    return found.turn.times(principal.directions, compute: compute)
  }

  /// All columns come from one key and one fit, and are found or missed together: they are no trials of their own that an interval could be
  /// taken from.
  package func score(_ claim: Claim, truth: OwnerTruth) -> Measurement {
    let best = ColumnCorrelations.best(truth.rows, claimed: claim.components, compute: compute)
    let found = best.filter { $0 > Self.threshold }.count
    let guessed = claim.guesses.map { guess in
      let values = ColumnCorrelations.best(truth.rows, claimed: guess, compute: compute)
      return Double(values.filter { $0 > Self.threshold }.count) / Double(max(1, values.count))
    }
    return Measurement(
      value: best.isEmpty ? nil : Double(found) / Double(best.count),
      interval: nil,
      chance: guessed.reduce(0, +) / Double(max(1, guessed.count)), rows: claim.components.rows,
      details: [
        Measurement.Detail("mean best absolute correlation", best.reduce(0, +) / Double(max(1, best.count))),
        Measurement.Detail("components from rows", Double(claim.fromRows)),
        Measurement.Detail("components from initial weights", Double(claim.fromWeights)),
      ])
  }

  package func meaning(of measurement: Measurement, evidence: Evidence) -> String {
    guard let value = measurement.value else { return "No column varies: there is nothing to find." }
    return "From what the job sends alone, a provider finds \(ReportNumber.percent(value)) % of the columns "
      + "with a correlation above 0.9, without their names and up to sign and scale."
  }
}
