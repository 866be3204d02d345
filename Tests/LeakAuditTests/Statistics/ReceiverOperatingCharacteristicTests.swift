import LeakAudit
import Testing

@Suite struct ReceiverOperatingCharacteristicTests {
  /// Of ten negatives 0 … 9, one may score above the threshold 8 at a rate of 0.1, none above 9 at 0.05.
  @Test func thresholdsByHand() {
    let curve = ReceiverOperatingCharacteristic(
      positives: [9.5, 8.5, 8, 1], negatives: (0..<10).map { Double($0) })
    #expect(curve.truePositives(atFalsePositiveRate: 0.1) == 2)
    #expect(curve.truePositiveRate(atFalsePositiveRate: 0.05) == 0.25)
    #expect(curve.truePositiveRate(atFalsePositiveRate: 1) == 1)
    #expect(curve.chance(atFalsePositiveRate: 0.1) == 2.0 / 11)
    #expect(curve.chance(atFalsePositiveRate: 0.05) == 1.0 / 11)
  }

  /// Pairs won: 2 above both, 1 ties with the 1 and beats the 0, −1 loses both: (2 + 1.5 + 0)/6.
  @Test func areaByHand() {
    let curve = ReceiverOperatingCharacteristic(positives: [2, 1, -1], negatives: [1, 0])
    #expect(abs(curve.areaUnderCurve - 3.5 / 6) < 1e-12)
  }

  /// Scores that are all the same tell nothing, at any threshold but the last.
  @Test func tiesTellNothing() {
    let curve = ReceiverOperatingCharacteristic(positives: [1, 1], negatives: [1, 1, 1])
    #expect(curve.areaUnderCurve == 0.5)
    #expect(curve.truePositiveRate(atFalsePositiveRate: 0.5) == 0)
  }
}
