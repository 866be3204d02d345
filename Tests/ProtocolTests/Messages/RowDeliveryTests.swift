import Numerics
import Testing

@testable import Protocol

/// Slots, flags and rows of one delivery must fit each other.
struct RowDeliveryTests {
  private func receive(slots: [Int32], carried: [UInt8], rows: Int) throws {
    let codec = MessageCodec<Float>()
    let delivery = RowDelivery<Float>(
      slots: Tensor(slots, shape: [slots.count]), carried: Tensor(carried, shape: [carried.count]),
      values: Tensor(repeating: 1, shape: [rows, 2]))
    _ = try codec.ownerMessage(codec.frames(.batch(step: 0, part: 0, rows: delivery), job: .none))
  }

  @Test func flagsThatFitAreTaken() throws {
    try receive(slots: [0, 1, 2], carried: [1, 0, 1], rows: 2)
  }

  @Test func fewerFlagsThanSlots() {
    #expect(throws: WireError.misshapen("carried flags do not match the slots")) {
      try receive(slots: [0, 1], carried: [1], rows: 1)
    }
  }

  @Test func flagOtherThanZeroOrOne() {
    #expect(throws: WireError.malformed("a carried flag other than 0 or 1")) {
      try receive(slots: [0], carried: [2], rows: 1)
    }
  }

  @Test(arguments: [0, 2])
  func otherNumberOfRowsThanFlags(_ rows: Int) {
    #expect(throws: WireError.misshapen("as many rows as carried flags are due")) {
      try receive(slots: [0, 1], carried: [1, 0], rows: rows)
    }
  }
}
