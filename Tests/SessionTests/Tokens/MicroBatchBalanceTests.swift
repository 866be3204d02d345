import OwnerRole
import TestSupport
import Testing

@Suite struct MicroBatchBalanceTests {
  /// 5 and 5 go to the first two of three micro-batches and 3 to the last, which has room for one; then 1 to each of the first two.
  @Test func theLongestGoesFirstToWhoeverHasTheLeast() {
    let balance = MicroBatchBalance(microBatch: 2, tokens: [7, 5, 5, 1, 1, 3])
    #expect(balance.places([1, 2, 3, 4, 5]) == [0, 2, 1, 3, 4])
    #expect(balance.places([4]) == [0])
    #expect(balance.places([Int32]()).isEmpty)
  }

  /// A batch keeps its rows: what changes is only which micro-batch they are in. Of two micro-batches the one that gets the next longest
  /// sample had no more than the other, so that they differ by less than the longest: 100 tokens.
  @Test func batchesKeepTheirRowsAndTheirPartsBecomeAlike() throws {
    var random = SplitMix(seed: 1)
    let tokens = (0..<400).map { _ in Int32(random.next() % 100 + 1) }
    let secret = try OrderSecret(ephemeralWithSeed: 1)
    let split = RowSplit.fraction(0.1, seed: 1, rows: 400)
    let drawn = TrainingPlan(split: split, batch: 8, epochs: 2, orderSecret: secret)
    let dealt = TrainingPlan(
      split: split, batch: 8, epochs: 2, orderSecret: secret, balance: MicroBatchBalance(microBatch: 4, tokens: tokens))
    func batches(_ plan: TrainingPlan, epoch: Int) -> [[Int32]] {
      let order = plan.order(epoch: epoch)
      return (0..<plan.stepsPerEpoch).map { order[plan.range(ofBatch: $0)].map { plan.rowOfSlot[Int($0)] } }
    }
    func difference(_ batch: [Int32]) -> Int {
      let sums = [batch.prefix(4), batch.dropFirst(4)].map { $0.reduce(0) { $0 + Int(tokens[Int($1)]) } }
      return abs(sums[0] - sums[1])
    }
    // Slots are numbered as epoch 0 visits them, so that later epochs draw their batches from other rows.
    #expect(batches(drawn, epoch: 0).map(Set.init) == batches(dealt, epoch: 0).map(Set.init))
    #expect(dealt.order(epoch: 0) == (0..<360).map { $0 })
    for epoch in 0..<2 {
      let (before, after) = (batches(drawn, epoch: epoch), batches(dealt, epoch: epoch))
      #expect(Set(after.joined()) == Set(split.training.map { Int32($0) }))
      #expect(after.allSatisfy { difference($0) < 100 })
      #expect(after.map(difference).reduce(0, +) < before.map(difference).reduce(0, +))
    }
  }
}
