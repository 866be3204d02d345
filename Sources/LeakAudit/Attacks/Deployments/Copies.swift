import Models
package import Numerics

/// Opens the questions under one key of a deployment with another key of it: two masked copies of one model say what the keys differ by.
///
/// Needs no row and no knowledge of the model; a client in league with the host has the one key that is missing. Separate keys for each client, and
/// the copy that a rotation leaves behind, are such copies.
package struct Copies: Attack {
  package struct Knowledge: Sendable {
    /// Whether the last column of the plaintext is the constant 1.
    package let hasConstant: Bool
  }

  package struct Claim: Sendable {
    /// Nil where no relation was found.
    package let relation: CopyRelation?
    /// R T₂, the key of the questions as it follows, `[w, d]` or with δ; nil likewise.
    package let key: Tensor<Double>?
    /// The questions, `[n, d]`; nil likewise.
    package let rows: Tensor<Float>?
    /// Whether −R explains weights and questions as well.
    package let isSignOpen: Bool
  }

  package static let facts = AttackFacts(
    kind: .copies, title: "Copies under two keys",
    knowledge:
      "two masked copies of the model (of two clients with separate keys, or before and after a rotation), and the key of one of them: a "
      + "client in league with the host",
    metric: "relative error of the questions opened under the other key", isWorseWhenHigher: false,
    source: "Umeyama 1988; Ainsworth et al. 2023, section 3.2; Schönemann 1966")
  /// Of the weights' residual: above it the two are hardly copies of one model, and the host sees that.
  package static let credible = 0.1

  private let compute: Compute

  package init(compute: Compute) {
    self.compute = compute
  }

  package func knowledge(
    of evidence: Evidence, truth: OwnerTruth, random: inout some RandomNumberGenerator
  ) throws(Inapplicable) -> Knowledge {
    guard let deployment = evidence.masked.deployment, deployment.otherWeights != nil,
      let known = deployment.leagueKey
    else {
      throw Inapplicable(nothingToFind: "there is one copy of the model, under one key")
    }
    return Knowledge(hasConstant: known.columns > truth.rows.columns)
  }

  package func attempt(
    on view: ProviderView, knowing knowledge: Knowledge, random: inout some RandomNumberGenerator,
    until deadline: Deadline
  ) throws -> Claim {
    guard let other = view.deployment?.otherWeights, let known = view.deployment?.leagueKey,
      let relation = try CopyMatching(compute: compute).relation(
        parameters: view.parameters, groups: view.groups, input: view.input, from: other, to: view.initialWeights,
        until: deadline), relation.matrix.rows == known.rows
    else { return Claim(relation: nil, key: nil, rows: nil, isSignOpen: false) }
    var key = relation.matrix.times(known, compute: compute)
    var rows = view.inputs.converted(to: Double.self).times(key, compute: compute)
    if !relation.hasSign, knowledge.hasConstant, Self.constant(rows) < 0 {
      key.negate()
      rows.negate()
    }
    return Claim(
      relation: relation, key: key, rows: rows.converted(), isSignOpen: !relation.hasSign && !knowledge.hasConstant)
  }

  /// Σ of the last column, where that is the rows' constant 1, which −R would make −1.
  private static func constant(_ rows: Tensor<Double>) -> Double {
    (0..<rows.rows).reduce(0) { $0 + rows[$1, rows.columns - 1] }
  }

  package func score(_ claim: Claim, truth: OwnerTruth) -> Measurement {
    guard let relation = claim.relation, var key = claim.key, let rows = claim.rows,
      rows.columns >= truth.rows.columns, rows.rows == truth.rows.rows
    else { return Measurement(value: nil, interval: nil, chance: 1, rows: 0) }
    var found = rows.firstColumns(truth.rows.columns)
    // Without a sign of its own the better is the attacker's, who sees at a glance which rows look like rows.
    if claim.isSignOpen, found.converted(to: Double.self).product(truth.rows.converted()) < 0 {
      found.negate()
      key.negate()
    }
    let error = RelativeError(of: found, against: truth.rows)
    var details = [
      Measurement.Detail("residual of the weights", relation.residual),
      Measurement.Detail("directions that the weights determine", Double(relation.rank)),
    ]
    if key.shape == truth.inputKey.shape {
      let square = key.squaredDistance(to: truth.inputKey) / max(truth.inputKey.sumOfSquares, .leastNormalMagnitude)
      details.append(.init("relative error of the key", square.squareRoot()))
    }
    return Measurement(
      value: error.value, interval: error.interval, chance: 1, rows: rows.rows, details: details)
  }

  package func meaning(of measurement: Measurement, evidence: Evidence) -> String {
    let residual = measurement.details.first { $0.name == "residual of the weights" }?.value
    guard let value = measurement.value, let residual else {
      return
        "No layer was found by which two copies could be matched; that proves nothing about another way to match them."
    }
    guard residual < Self.credible else {
      return
        "The two copies were not matched (residual \(ReportNumber.text(residual))): they are not of one model, or weights were changed by more than "
        + "rounding. That proves nothing about a better matching."
    }
    let keys =
      "Separate keys do not keep clients apart from a host with one of them, and a rotated key does not close what the one before it opened."
    if value < KnownRows.threshold {
      return
        "A host in league with one client opens every question of every other client, under whatever key: two copies give what the keys "
        + "differ by (questions to \(ReportNumber.percent(value)) % of their spread). \(keys)"
    }
    return
      "Two copies give what the keys differ by in the directions that the first weights read; of the questions that leaves "
      + "\(ReportNumber.percent(value)) % of their spread open here, which is not needed to know what the model makes of them. \(keys)"
  }
}
