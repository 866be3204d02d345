import Numerics
import Testing

@testable import LeakAudit

/// By definition: every vector v' = K v and every matrix M' = K M Kᵀ, with K the truth, whatever the other spaces' keys are.
@Suite struct ResidualInvariantsTests {
  private static let compute = SmallTransformer.compute

  private func invariants(_ transformer: SmallTransformer) throws -> (ResidualInvariants, OwnerTruth, ResidualLegs) {
    let (view, truth) = try transformer.view([[1, 2]])
    let legs = ResidualLegs(view, base: transformer.base)
    let invariants = ResidualInvariants(
      legs, masked: view.initialWeights, base: transformer.base, memory: 1 << 28, maxMatrices: 100,
      compute: Self.compute,
      until: Deadline(after: .seconds(60)))
    return (invariants, truth, legs)
  }

  /// Two roundings to Float of 6e-8 an entry in products of up to 96 terms of random sign, all relative to the length of the whole: below 1e-6,
  /// hundred times less than anything that does not belong together is off by.
  private func expectInvariant(_ transformer: SmallTransformer) throws {
    let (invariants, truth, _) = try invariants(transformer)
    let key = truth.inputKey
    for matrix in invariants.matrices {
      var difference = key.times(matrix.base, compute: Self.compute).times(
        key, otherTransposed: true, compute: Self.compute)
      difference.add(matrix.masked, scaled: -1)
      #expect(difference.product(difference).squareRoot() < 1e-5)
    }
    for vector in invariants.vectors {
      var difference = key.times(Tensor(vector.base, shape: [vector.base.count, 1]), compute: Self.compute)
      difference.add(Tensor(vector.masked, shape: [vector.masked.count, 1]), scaled: -1)
      #expect(difference.product(difference).squareRoot() < 1e-5)
    }
  }

  @Test func thoseOfAnEncoder() throws {
    let transformer = try SmallTransformer.bert(seed: 1)
    try expectInvariant(transformer)
    let (invariants, _, _) = try invariants(transformer)
    // A block: 6 vectors of the residual; keys with queries 2 legs · 2 biases, values with contexts 2 · 1, hidden 2 · (1 + ones); 3 products
    // each. The pooler: bias and product.
    #expect(invariants.vectors.count == 2 * (6 + 4 + 2 + 4) + 1)
    #expect(invariants.matrices.count == 2 * 9 + 1)
    #expect(invariants.diagonals.count == invariants.matrices.count)
  }

  @Test func thoseOfADecoderWithGroupedHeads() throws {
    let transformer = try SmallTransformer.llama(seed: 2)
    try expectInvariant(transformer)
    let (invariants, _, legs) = try invariants(transformer)
    // A block: the gate's ones. Queries and contexts by themselves, keys and values with them 3 each, gate 1, up and down 3.
    #expect(invariants.vectors.count == 3 * 1)
    #expect(invariants.matrices.count == 3 * (1 + 1 + 3 + 3 + 1 + 3))
    let folded = legs.bundles.flatMap(\.legs).filter { $0.headsInGroup > 1 }
    #expect(folded.count == 3 * 2)
    #expect(folded.allSatisfy { $0.headsInGroup == 2 && $0.headWidth == 6 })
  }
}
