package import Models
package import Numerics

/// Finds the rows' key by comparing the masked starting weights with those of a public checkpoint.
///
/// Masked weights have the base's singular values and, turned, its singular vectors. On permuted hidden states the same knowledge gave nearly
/// every token: Thomas et al., "An attack to break permutation-based private third-party inference schemes for LLMs", arXiv
/// 2505.18332, 2025.
package struct BaseWeights: Attack {
  package struct Knowledge: Sendable {
    package let weights: [Tensor<Float>]
    /// What the job's key is drawn from; also what the control is searched for in.
    package let group: SymmetryGroup

    package init(weights: [Tensor<Float>], group: SymmetryGroup) {
      self.weights = weights
      self.group = group
    }
  }

  package struct Claim: Sendable {
    /// Nil where none was found.
    package let key: ResidualAlignment.Key?
    package let group: SymmetryGroup
    /// The rows unmasked with the key, `[n, w]`.
    package let rows: Tensor<Float>?
  }

  package static let facts = AttackFacts(
    kind: .baseWeights, title: "Base weights",
    knowledge: "the plaintext checkpoint that training started from, or that is deployed as it is",
    metric: "relative error of the recovered key (computed, so without an interval)", isWorseWhenHigher: false,
    source: "Umeyama 1988; Ainsworth et al. 2023, section 3.2; Thomas et al. 2025")

  private let alignment: ResidualAlignment
  private let compute: Compute

  package init(compute: Compute) {
    self.compute = compute
    alignment = ResidualAlignment(compute: compute)
  }

  package func knowledge(
    of evidence: Evidence, truth: OwnerTruth, random: inout some RandomNumberGenerator
  ) throws(Inapplicable) -> Knowledge {
    guard let weights = evidence.knowledge.baseWeights else {
      if evidence.masked.deployment != nil, evidence.traits.readsTokens, evidence.traits.baseModel == nil {
        throw Inapplicable(
          "nobody has said whether the directory that was deployed is public; say it with --base-model public or private"
        )
      }
      throw Inapplicable(
        nothingToFind: evidence.traits.baseModel == .private
          ? "the checkpoint is said to be the owner's alone (base_model: private); with public it would be tried"
          : "the starting weights are drawn from the owner's key: there is no public base")
    }
    guard ResidualAlignment.applies(to: evidence.masked, base: weights) else {
      throw Inapplicable(nothingToFind: "no weight of the base reads or writes the space that the rows live in")
    }
    return Knowledge(weights: weights, group: evidence.masked.inputGroup)
  }

  package func attempt(
    on view: ProviderView, knowing knowledge: Knowledge, random: inout some RandomNumberGenerator,
    until deadline: Deadline
  ) -> Claim {
    let key = alignment.key(
      of: view, base: knowledge.weights, group: knowledge.group, random: &random, until: deadline)
    let rows = key.map { view.inputs.times($0.matrix.converted(to: Float.self), compute: compute) }
    return Claim(key: key, group: knowledge.group, rows: rows)
  }

  /// Two orthogonal matrices that know nothing of each other: the mean of |K̂ − K|² is 2 |K|².
  private static let chance = 2.0.squareRoot()

  /// The error of this key is computed, not estimated from a sample, and so has no interval. Keys are drawn uniformly and turn the weights as
  /// a whole, which the search is indifferent to: another throw-away key would cost another search, and differ by rounding and restarts.
  package func score(_ claim: Claim, truth: OwnerTruth) -> Measurement {
    let chance = Self.chance
    guard let found = claim.key, found.matrix.shape == truth.inputKey.shape else {
      return Measurement(value: nil, interval: nil, chance: chance, rows: 0)
    }
    let key = truth.inputKey
    let overlap = found.matrix.product(key)
    let (mine, theirs) = (found.matrix.product(found.matrix), key.product(key))
    // Without a sign of its own the better is the attacker's, who sees at a glance which rows look like rows.
    let isTurned = !found.hasSign && overlap < 0
    let squares = max(0, mine + theirs - 2 * (isTurned ? -overlap : overlap))
    var details = [Measurement.Detail("agreement of the weights under the key", found.agreement)]
    if claim.group <= .signedPermutation {
      details.append(.init("share of the permutation", Self.shareOfPermutation(found.matrix, key)))
    }
    if let rows = claim.rows, rows.rows == truth.rows.rows {
      details.append(
        .init("relative error of the rows", Self.error(rows, truth.rows, sign: isTurned ? -1 : 1)))
    }
    return Measurement(
      value: (squares / theirs).squareRoot(), interval: nil, chance: chance, rows: truth.rows.rows, details: details)
  }

  package func meaning(of measurement: Measurement, evidence: Evidence) -> String {
    guard let error = measurement.value else { return "The weights did not give the key away in the time there was." }
    if error < 0.1 {
      return
        "Whoever has the base checkpoint computes the key of every row from the first weights it is sent: against them this job's "
        + "masking hides nothing."
    }
    if error < 0.9 * (measurement.chance ?? Self.chance) {
      return "The base checkpoint gives part of the key away; a closer attack may give the rest."
    }
    return
      "The key that was found is no nearer to the true one than a guess: this attack had no use of the base checkpoint."
  }

  /// Rows whose largest entry stands where the key's stands.
  private static func shareOfPermutation(_ found: Tensor<Double>, _ key: Tensor<Double>) -> Double {
    func places(_ matrix: Tensor<Double>) -> [Int] {
      (0..<matrix.rows).map { row in
        (0..<matrix.columns).max { abs(matrix[row, $0]) < abs(matrix[row, $1]) } ?? 0
      }
    }
    let right = zip(places(found), places(key)).filter { $0 == $1 }.count
    return Double(right) / Double(max(1, key.rows))
  }

  /// ‖s X̂ − X‖ / ‖X‖ over the columns of X.
  private static func error(_ found: Tensor<Float>, _ rows: Tensor<Float>, sign: Double) -> Double {
    var (squares, whole) = (0.0, 0.0)
    let (width, columns) = (found.columns, rows.columns)
    found.withUnsafeBufferPointer { found in
      rows.withUnsafeBufferPointer { rows in
        for row in 0..<rows.count / max(1, columns) {
          for column in 0..<min(width, columns) {
            let value = Double(rows[row * columns + column])
            let difference = sign * Double(found[row * width + column]) - value
            squares += difference * difference
            whole += value * value
          }
        }
      }
    }
    return (squares / max(whole, .leastNormalMagnitude)).squareRoot()
  }
}

/// Finds the key of the space that rows live in from masked starting weights and the same weights in plaintext.
///
/// Whatever the keys of the other spaces are, some combinations of weights keep only this one (`ResidualInvariants`): of these a permutation
/// moves the entries, and a rotation turns the eigenvectors.
package struct ResidualAlignment: Sendable {
  /// A key that was found.
  package struct Key: Sendable {
    /// K̂, `[d, d]`: x' = K̂ x.
    package let matrix: Tensor<Double>
    /// False where the weights look the same under −K̂.
    package let hasSign: Bool
    /// Mean of what the invariants have in common under K̂: 1 for the key itself, around 0 for another.
    package let agreement: Double
  }

  /// Bytes for products of weights.
  private static let memory = 512 << 20
  /// Products that are turned as a whole, of the first blocks: what more of them add to the key is below rounding.
  private static let products = 24

  private let compute: Compute

  package init(compute: Compute) {
    self.compute = compute
  }

  /// Whether `base` is a list of the view's weights and any of them, of a checkpoint that may be public, touches the space of the rows.
  package static func applies(to view: ProviderView, base: [Tensor<Float>]) -> Bool {
    fits(view, base) && !ResidualLegs(view, base: base).isEmpty
  }

  private static func fits(_ view: ProviderView, _ base: [Tensor<Float>]) -> Bool {
    base.count == view.parameters.count && view.initialWeights.count == base.count
      && zip(base, view.initialWeights).allSatisfy { $0.shape == $1.shape }
      && zip(base, view.parameters).allSatisfy { $0.shape == $1.shape }
  }

  /// - Parameters:
  ///   - base: the weights training started from, in the view's order. Only those of the checkpoint are looked at, not those drawn afresh.
  ///   - group: what the key is drawn from. A trivial one is looked for as a permutation.
  /// - Returns: nil where the weights say nothing, or hold what is not a number, or the deadline passed first.
  package func key(
    of view: ProviderView, base: [Tensor<Float>], group: SymmetryGroup, random: inout some RandomNumberGenerator,
    until deadline: Deadline
  ) -> Key? {
    guard Self.fits(view, base) else { return nil }
    let legs = ResidualLegs(view, base: base)
    guard !legs.isEmpty, legs.width > 0 else { return nil }
    let invariants = ResidualInvariants(
      legs, masked: view.initialWeights, base: base, memory: Self.memory, maxMatrices: Self.products, compute: compute,
      until: deadline)
    let agreement = KeyAgreement(invariants: invariants, compute: compute)
    let refinement = KeyRefinement(agreement: agreement, compute: compute)
    guard group > .permutation else {
      let first = PermutationFingerprints(invariants).match(compute: compute)
      let (matching, mean) = refinement.refinedPermutation(first, until: deadline)
      return Key(matrix: KeyRefinement.key(matching), hasSign: true, agreement: mean)
    }
    do {
      let alignment = EigenvectorAlignment(agreement: agreement, compute: compute)
      guard let first = try alignment.key(random: &random, until: deadline) else { return nil }
      var (key, mean) = try refinement.refinedRotation(first, until: deadline)
      if group == .signedPermutation { key = Self.nearestSignedPermutation(key) }
      return Key(matrix: key, hasSign: !invariants.vectors.isEmpty, agreement: mean)
    } catch {
      return nil
    }
  }

  private static func nearestSignedPermutation(_ key: Tensor<Double>) -> Tensor<Double> {
    let width = key.columns
    let matching = KeyRefinement.assignment(Tensor(key.elements.map(abs), shape: key.shape))
    var result = Tensor<Double>(zeros: [width, width])
    for (row, column) in matching.enumerated() { result[row, column] = key[row, column] < 0 ? -1 : 1 }
    return result
  }
}
