import Models
import Numerics
import TestSupport
import Testing

@testable import LeakAudit

/// What two masked copies of one model say of the keys they are masked under.
@Suite struct CopyMatchingTests {
  private func check(_ scene: CopyScene, rank: Int) throws {
    let relation = try #require(try scene.relation(scene.copy(1) as [Tensor<Double>], scene.copy(2)))
    #expect(relation.rank == rank)
    #expect(relation.residual < 1e-12)
    #expect(try scene.error(relation, 1, 2) < 1e-10)
  }

  /// T₂ T₁⁻¹ in double precision, whatever kinds of keys a deployment can have.
  @Test(arguments: [UInt64(1), 2, 3]) func aPerceptronsRelationIsExact(seed: UInt64) throws {
    try check(.perceptron(hidden: [40, 9], activation: .relu, seed: seed), rank: 13)
    try check(.perceptron(padding: 5, hidden: [40], activation: .gelu, seed: seed), rank: 13)
    try check(.perceptron(hidden: [13], activation: .silu, seed: seed), rank: 13)
    try check(.perceptron(hidden: [40], activation: .relu, strength: .inputOnly, seed: seed), rank: 13)
  }

  @Test(arguments: [UInt64(1), 2, 3]) func unitsWithSignsLeaveOneSignOpen(seed: UInt64) throws {
    let scene = try CopyScene.perceptron(hidden: [40], activation: .tanh, seed: seed)
    try check(scene, rank: 13)
    let relation = try #require(try scene.relation(scene.copy(1) as [Tensor<Double>], scene.copy(2)))
    #expect(!relation.hasSign)
  }

  /// Between the rows and the first units whose key moves them lies a space with a rotation of its own.
  @Test(arguments: [UInt64(1), 2]) func anAdapterIsSeenThrough(seed: UInt64) throws {
    try check(.perceptron(adapter: 30, hidden: [40], activation: .relu, seed: seed), rank: 13)
  }

  /// Keys that move numbers are found to the bit, also with fewer units than columns.
  @Test(arguments: [MaskingStrength.permutation, .rotation], [40, 5]) func movedColumnsAreFoundWhole(
    strength: MaskingStrength, units: Int
  ) throws {
    let kind: OptimizerDescription.Kind = strength == .rotation ? .sgd : .adamw
    let scene = try CopyScene.perceptron(
      hidden: [units], activation: .relu, strength: strength, kind: kind, seed: 4)
    let relation = try #require(try scene.relation(scene.copy(1) as [Tensor<Float>], scene.copy(2)))
    guard strength == .permutation else {
      #expect(relation.rank == min(units, 13))
      return
    }
    #expect(relation.residual == 0)
    #expect(try scene.error(relation, 1, 2) == 0)
  }

  /// Five units read five directions: of those the relation is exact, and of the others it says nothing.
  @Test func fewUnitsGiveWhatTheyRead() throws {
    let scene = try CopyScene.perceptron(hidden: [5], activation: .relu, seed: 5)
    let first: [Tensor<Double>] = try scene.copy(1)
    let relation = try #require(try scene.relation(first, scene.copy(2)))
    #expect(relation.rank == 5)
    let truth = try scene.key(2).times(scene.key(1), otherTransposed: true, compute: CopyScene.compute)
    let read = first[0].times(relation.matrix, otherTransposed: true, compute: CopyScene.compute)
    let wanted = first[0].times(truth, otherTransposed: true, compute: CopyScene.compute)
    #expect(read.squaredDistance(to: wanted).squareRoot() < 1e-10)
    #expect(try scene.error(relation, 1, 2) > 1)
  }

  @Test(arguments: [UInt64(1), 2, 3]) func transformersAreMatched(seed: UInt64) throws {
    let decoder = CopyScene(try .llama(seed: seed))
    try check(decoder, rank: 24)
    // Norms with gains that stay leave permutations, which are found to the bit.
    let encoder = CopyScene(try .bert(seed: seed))
    let relation = try #require(try encoder.relation(encoder.copy(1) as [Tensor<Float>], encoder.copy(2)))
    #expect(try encoder.error(relation, 1, 2) == 0)
  }

  /// Units with signs around a space whose key has none: the one sign that they leave open is decided by what a permutation can explain. Five pairs
  /// of keys a seed, for either sign is as likely.
  @Test(arguments: [UInt64(1), 2, 3]) func anEncoderOfOddUnitsIsMatched(seed: UInt64) throws {
    let encoder = CopyScene(try .bert(activation: .tanh, seed: seed))
    for number in UInt8(2)...6 {
      let relation = try #require(try encoder.relation(encoder.copy(1) as [Tensor<Float>], encoder.copy(number)))
      #expect(relation.residual < 1e-4 && relation.hasSign)
      #expect(try encoder.error(relation, 1, number) == 0)
    }
  }

  /// Each copy is rounded by at most 2⁻²⁴ of an entry, E₁ and E₂ of ‖W‖ · 2⁻²⁴ together over a matrix. An isometry turns by at most 2 ‖E‖ / σ (Li,
  /// SIAM J. Matrix Anal. Appl. 16, 1995, theorem 1), σ the smallest singular value of what is read: once for the left matrix, once for the right.
  @Test(arguments: [UInt64(1), 2, 3]) func singlePrecisionCostsItsRounding(seed: UInt64) throws {
    for padding in [0, 3] {
      let scene = try CopyScene.perceptron(padding: padding, hidden: [40], activation: .relu, seed: seed)
      let values = try SingularValues(of: scene.weights[0].converted().firstColumns(13)).values
      let bound =
        4 * 0x1p-24 * scene.weights[0].converted(to: Double.self).sumOfSquares.squareRoot() / (values.last ?? 0)
      let relation = try #require(try scene.relation(scene.copy(1) as [Tensor<Float>], scene.copy(2)))
      let error = try scene.error(relation, 1, 2)
      #expect(error < bound && bound < 1e-4)
      #expect(relation.rank == 13)
    }
  }

  /// To defeat it: another model under the second key. Nothing is then common to both, and whoever matches sees it.
  @Test(arguments: [UInt64(1), 2, 3]) func twoModelsAreNotMatched(seed: UInt64) throws {
    for (one, other) in [
      (
        try CopyScene.perceptron(hidden: [40], activation: .relu, seed: seed),
        try CopyScene.perceptron(hidden: [40], activation: .relu, seed: seed + 10)
      ),
      (CopyScene(try .llama(seed: seed)), CopyScene(try .llama(seed: seed + 10))),
    ] {
      let relation = try #require(try one.relation(one.copy(1) as [Tensor<Double>], other.copy(2)))
      #expect(relation.residual > 0.3)
      let key = try one.key(1)
      #expect(try one.error(relation, 1, 2) > 0.8 * key.sumOfSquares.squareRoot())
    }
  }

  /// Weights that were changed by a thousandth still match, and say by how much; by as much as they are themselves, they do not.
  @Test func changedWeightsAreSeenByTheirResidual() throws {
    let scene = try CopyScene.perceptron(hidden: [40], activation: .relu, seed: 6)
    func relation(noise: Float) throws -> CopyRelation {
      var changed = scene
      var random = SplitMix(seed: 60)
      for index in changed.weights.indices {
        for entry in 0..<changed.weights[index].count { changed.weights[index][entry] += noise * random.nextValue() }
      }
      return try #require(try scene.relation(scene.copy(1) as [Tensor<Double>], changed.copy(2)))
    }
    let near = try relation(noise: 1e-3)
    #expect(near.residual > 3e-4 && near.residual < 2e-3)
    #expect(try scene.error(near, 1, 2) < 0.05)
    #expect(try relation(noise: 1).residual > 0.3)
  }

  @Test(arguments: [Float(0), .nan, .infinity]) func degenerateWeightsDoNotStopIt(value: Float) throws {
    let scene = try CopyScene.perceptron(hidden: [40], activation: .relu, seed: 7)
    let constant = scene.parameters.map { Tensor<Float>(repeating: value, shape: $0.shape) }
    #expect(try scene.relation(constant, scene.copy(2)) == nil)
    #expect(try scene.relation([], scene.copy(2) as [Tensor<Float>]) == nil)
  }
}
