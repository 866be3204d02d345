import Protocol
import Testing

@testable import Service

/// Which job is next, case by case by hand.
@Suite struct FairOrderTests {
  private let a: OwnerKey
  private let b: OwnerKey
  private let c: OwnerKey

  init() throws {
    a = try CurveKeyPair.generate().ownerKey
    b = try CurveKeyPair.generate().ownerKey
    c = try CurveKeyPair.generate().ownerKey
  }

  @Test func ofOneOwnerInOrderOfArrival() {
    #expect(FairOrder().sorted([("1", a), ("2", a), ("3", a)]) == ["1", "2", "3"])
    #expect(FairOrder<String>().sorted([]).isEmpty)
  }

  @Test func ofOwnersWithNothingYetInOrderOfArrival() {
    #expect(FairOrder().sorted([("1", b), ("2", a), ("3", c)]) == ["1", "2", "3"])
  }

  @Test func fewestAtWorkComesFirst() {
    let order = FairOrder<String>(running: [a: 2, b: 1], used: [c: 1000, b: 10])
    #expect(order.sorted([("a1", a), ("b1", b), ("c1", c)]) == ["c1", "b1", "a1"])
  }

  @Test func leastUsedComesFirstOfAsManyAtWork() {
    let order = FairOrder<String>(running: [a: 1, b: 1], used: [a: 3, b: 2])
    #expect(order.sorted([("a1", a), ("b1", b)]) == ["b1", "a1"])
  }

  @Test func manyJobsOfOneOwnerLetOthersIn() {
    #expect(
      FairOrder().sorted([("a1", a), ("a2", a), ("a3", a), ("b1", b), ("b2", b)]) == ["a1", "b1", "a2", "b2", "a3"])
    #expect(
      FairOrder<String>(running: [a: 1]).sorted([("a1", a), ("a2", a), ("b1", b), ("b2", b), ("b3", b)])
        == ["b1", "a1", "b2", "a2", "b3"])
  }
}
