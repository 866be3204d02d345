package import Architecture
package import Exposure
package import Tensors

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

  private let workers: Workers

  package init(workers: Workers) {
    self.workers = workers
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
      legs, masked: view.initialWeights, base: base, memory: Self.memory, most: Self.products, workers: workers,
      until: deadline)
    let agreement = KeyAgreement(invariants: invariants, workers: workers)
    let refinement = KeyRefinement(agreement: agreement, workers: workers)
    guard group > .permutation else {
      let first = PermutationFingerprints(invariants).match(workers: workers)
      let (matching, mean) = refinement.refinedPermutation(first, until: deadline)
      return Key(matrix: KeyRefinement.key(matching), hasSign: true, agreement: mean)
    }
    do {
      let alignment = EigenvectorAlignment(agreement: agreement, workers: workers)
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
