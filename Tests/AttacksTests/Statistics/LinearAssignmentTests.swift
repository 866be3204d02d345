import Attacks
import Tensors
import Testing

@Suite struct LinearAssignmentTests {
  /// All ways to give 5 rows different ones of 6 columns, tried one by one.
  private func best(_ scores: Tensor<Double>, row: Int = 0, used: Set<Int> = []) -> Double {
    if row == scores.rows { return 0 }
    var best = -Double.infinity
    for column in 0..<scores.columns where !used.contains(column) {
      best = max(best, scores[row, column] + self.best(scores, row: row + 1, used: used.union([column])))
    }
    return best
  }

  @Test(arguments: UInt64(0)..<20) func isTheBestOfAll(seed: UInt64) {
    var random = SplitMix(seed: seed)
    let scores = Tensor((0..<30).map { _ in Double.random(in: -5...5, using: &random) }, shape: [5, 6])
    let matching = LinearAssignment.maximum(scores)
    #expect(Set(matching).count == 5)
    let sum = matching.enumerated().reduce(0) { $0 + scores[$1.offset, $1.element] }
    // Sums of five numbers up to 5, in two orders.
    #expect(abs(sum - best(scores)) < 1e-12)
  }

  @Test func ofNothingAndOfEqualScores() {
    #expect(LinearAssignment.maximum(Tensor(zeros: [0, 3])) == [])
    #expect(Set(LinearAssignment.maximum(Tensor(zeros: [4, 4]))).count == 4)
  }
}
