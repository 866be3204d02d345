import LeakAudit
import Numerics
import Testing
import TestSupport

@Suite struct KMeansTests {
  /// Three heaps of width 1, ten apart: any start with a seed in each finds them, and of four starts one has.
  @Test func heapsFarApart() {
    var random = SplitMix(seed: 1)
    let heaps = (0..<90).map { _ in Int.random(in: 0..<3, using: &random) }
    let rows = Tensor<Double>(
      heaps.flatMap { [10 * Double($0) + Double.random(in: 0..<1, using: &random), Double($0 * $0)] }, shape: [90, 2])
    let found = KMeans(clusters: 3, restarts: 4, compute: RecordScene.compute)
      .clustering(of: rows, random: &random, until: Deadline(after: .seconds(20)))
    let names = Dictionary(zip(heaps, found.assignment), uniquingKeysWith: { first, _ in first })
    #expect(Set(names.values).count == 3)
    #expect(zip(heaps, found.assignment).allSatisfy { names[$0] == $1 })
    // 90 rows with a variance of 1/12 in one column: 7.5 on average, at most 90/4.
    #expect(found.sumOfSquares < 22.5)
  }

  /// Nothing is left after one assignment that may not be improved; an iteration or a second start is.
  @Test(arguments: [(1, 0, false), (1, 5, true), (2, 0, true)])
  func whatIsDoneIsNotCutShort(_ restarts: Int, _ iterations: Int, _ isCutShort: Bool) {
    var random = SplitMix(seed: 3)
    let passed = Deadline(after: .zero)
    let found = KMeans(clusters: 2, restarts: restarts, iterations: iterations, compute: RecordScene.compute)
      .clustering(of: Tensor<Double>([0, 1, 8, 9], shape: [4, 1]), random: &random, until: passed)
    #expect(Set(found.assignment).count == 2)
    #expect(passed.hasCutShort == isCutShort)
  }

  @Test func fewerRowsThanClusters() {
    var random = SplitMix(seed: 2)
    let found = KMeans(clusters: 5, compute: RecordScene.compute).clustering(
      of: Tensor<Double>([1, 2], shape: [2, 1]), random: &random, until: Deadline(after: .seconds(20)))
    #expect(Set(found.assignment).count == 2)
    #expect(found.sumOfSquares < 1e-12)
  }
}
