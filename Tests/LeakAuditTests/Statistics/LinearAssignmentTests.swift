import LeakAudit
import Numerics
import Testing
import TestSupport

@Suite struct LinearAssignmentTests {
  private func total(_ scores: Tensor<Double>, _ columns: [Int]) -> Double {
    columns.enumerated().reduce(0) { $0 + scores[$1.offset, $1.element] }
  }

  /// The best of all injections of rows into columns.
  private func best(_ scores: Tensor<Double>, row: Int = 0, taken: Set<Int> = []) -> Double {
    guard row < scores.rows else { return 0 }
    return (0..<scores.columns).filter { !taken.contains($0) }
      .map { scores[row, $0] + best(scores, row: row + 1, taken: taken.union([$0])) }.max() ?? 0
  }

  /// Scores are whole numbers, so that sums are exact and ties are frequent.
  @Test(arguments: 1...6) func theBestOfAllAssignments(rows: Int) {
    var random = SplitMix(seed: UInt64(rows))
    for extra in 0...2 {
      for _ in 0..<20 {
        let columns = rows + extra
        let scores = Tensor(
          (0..<rows * columns).map { _ in Double(Int.random(in: -5...5, using: &random)) }, shape: [rows, columns])
        let found = LinearAssignment.maximum(scores)
        #expect(Set(found).count == rows)
        #expect(total(scores, found) == best(scores))
      }
    }
  }

  /// A permutation hidden under noise smaller than half of what sets it apart has to come out exactly.
  @Test func aHiddenPermutation() {
    var random = SplitMix(seed: 7)
    let order = (0..<200).shuffled(using: &random)
    var scores = Tensor<Double>(zeros: [200, 200])
    for row in 0..<200 {
      for column in 0..<200 { scores[row, column] = Double.random(in: 0..<0.49, using: &random) }
      scores[row, order[row]] += 1
    }
    #expect(LinearAssignment.maximum(scores) == order)
  }

  /// Everybody likes the same column best: the sum decides who has it. 9 + 8 + 5 beats every other choice.
  @Test func aContestedColumn() {
    let scores = Tensor<Double>([9, 5, 1, 9, 8, 6, 9, 5, 5], shape: [3, 3])
    let found = LinearAssignment.maximum(scores)
    #expect(total(scores, found) == best(scores))
    #expect(total(scores, found) == 22)
  }

  @Test func whatIsNotFiniteIsTakenLast() {
    let scores = Tensor<Double>([.nan, 1, 1, -.infinity], shape: [2, 2])
    #expect(LinearAssignment.maximum(scores) == [1, 0])
  }

  @Test func noRows() {
    #expect(LinearAssignment.maximum(Tensor<Double>(zeros: [0, 3])).isEmpty)
  }
}
