import Foundation
import LeakAudit
import Numerics
import TestSupport
import Testing

@Suite struct AdjustedMutualInformationTests {
  private func agreement(_ first: [Int], _ second: [Int]) -> Double {
    AdjustedMutualInformation(items: first.count).between(first, second)
  }

  /// The example that scikit-learn's tests check against Vinh's own program: 0.27821.
  @Test func thePublishedExample() {
    let first = [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3]
    let second = [1, 1, 1, 1, 2, 1, 2, 2, 2, 2, 3, 1, 3, 3, 3, 2, 2]
    #expect(abs(agreement(first, second) - 0.27821) < 5e-6)
    #expect(abs(agreement(second, first) - 0.27821) < 5e-6)
  }

  @Test func oneWhereClustersAreRenamed() {
    #expect(abs(agreement([0, 0, 1, 1, 2], [7, 7, -1, -1, 4]) - 1) < 1e-12)
  }

  /// The expectation is over all orders of the second clustering: the mean of what they agree beyond it has to be 0, of all 720 of six items.
  @Test func zeroOnAverageOverAllOrders() {
    let first = [0, 0, 0, 1, 1, 2]
    var orders: [[Int]] = [[]]
    for item in [0, 0, 1, 1, 1, 2] {
      orders = orders.flatMap { order in
        (0...order.count).map { place in Array(order[..<place]) + [item] + Array(order[place...]) }
      }
    }
    #expect(orders.count == 720)
    let mean = orders.reduce(0) { $0 + agreement(first, $1) } / 720
    #expect(abs(mean) < 1e-12)
  }

  @Test func clusteringsThatDivideNothing() {
    #expect(agreement([1, 1, 1], [2, 2, 2]) == 1)
    #expect(agreement([1, 1, 1, 1], [0, 1, 2, 3]) == 0)
    #expect(agreement([], []) == 0)
  }

  /// Two halves against two independent halves: 2 n I is χ² with one degree of freedom, so that I is below 25/(2 · 20,000) but for once in two
  /// million times, over ln 2.
  @Test func zeroWhereIndependent() {
    var random = SplitMix(seed: 1)
    let first = (0..<20_000).map { _ in Int.random(in: 0...1, using: &random) }
    let second = (0..<20_000).map { _ in Int.random(in: 0...1, using: &random) }
    #expect(abs(agreement(first, second)) < 25.0 / 40_000 / log(2))
  }
}

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
