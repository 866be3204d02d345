import Models
import JobSpec
import Masking
import OwnerRole
import Numerics
import Testing
import TestSupport

/// The fresh layer of `masking.adapter`.
@Suite(.waiting) struct AdapterTests {
  private func prepared(_ job: SmallJob) throws -> PreparedJob {
    let directory = try TemporaryDirectory()
    return try PreparedJob(
      job: job.resolved(on: try SmallData(in: directory)), secret: try OrderSecret(ephemeralWithSeed: 1))
  }

  @Test func itsOutputsHaveARotationOfTheirOwn() throws {
    let plan = try prepared(SmallJob().changing { ($0.adapter, $0.padding) = (9, 0) }).shape.keyPlan
    #expect(plan.rows.map(\.space.name) == ["input", "adapter", "hidden.0", "hidden.1", "output"])
    #expect(plan.rows.map(\.group) == [.orthogonal, .orthogonal, .permutation, .permutation, .orthogonal])
    #expect(plan.rows.map(\.width) == [7, 9, 7, 5, 3])
  }

  /// Weights and bias column alike are Gaussian with deviation 1/√d. 20,000 rows of d = 6: 120,000 weights and 20,000 biases, whose
  /// mean squares are known to √(2/n) ≈ 0.0041 and 0.01, and whose fourth moments (3; of a uniform law 1.8) to √(96/n) ≈ 0.029 and
  /// 0.07; five of each.
  @Test func weightsAndBiasColumnAreOneGaussianMatrix() throws {
    let prepared = try prepared(SmallJob().changing { ($0.adapter, $0.padding) = (20_000, 0) })
    let adapter = try #require(prepared.shape.structure.parameters.first)
    #expect(adapter.name == "adapter.weight" && adapter.shape == [20_000, 7])
    let matrix: Tensor<Double> = try prepared.shape.startingWeights(secret: prepared.secret).tensor(adapter)
    var (weights, biases): ([Double], [Double]) = ([], [])
    for row in 0..<matrix.rows {
      for column in 0..<6 { weights.append(matrix[row, column] * 6.0.squareRoot()) }
      biases.append(matrix[row, 6] * 6.0.squareRoot())
    }
    for (values, square, fourth) in [(weights, 0.0205, 0.145), (biases, 0.05, 0.35)] {
      let count = Double(values.count)
      #expect(abs(values.reduce(0) { $0 + $1 * $1 } / count - 1) < square)
      #expect(abs(values.reduce(0) { $0 + $1 * $1 * $1 * $1 } / count - 3) < fourth)
    }
  }

  /// The weights are drawn from the owner's key, not from what stands in the job file.
  @Test func anotherOwnerDrawsAnotherAdapter() throws {
    let directory = try TemporaryDirectory()
    let job = SmallJob().changing { ($0.adapter, $0.padding) = (4, 0) }.resolved(on: try SmallData(in: directory))
    let drawn = try (0..<2).map { _ in
      let prepared = try PreparedJob(job: job, secret: try OrderSecret(ephemeralWithSeed: 1))
      let adapter = try #require(prepared.shape.structure.parameters.first)
      let matrix: Tensor<Double> = try prepared.shape.startingWeights(secret: prepared.secret).tensor(adapter)
      return matrix.elements
    }
    #expect(zip(drawn[0], drawn[1]).allSatisfy { $0 != $1 })
  }
}
