package import Tensors

/// The masked input rows of one micro-batch: named by slot, and carried along unless the trainer keeps them already.
///
/// A slot is a row's number in the job, 0 ..< totalRows. Under one key a row's mask never changes, so a row is sent once and
/// referred to afterwards, as long as its slot is below the capacity that the trainer granted.
package struct RowDelivery<Element: FloatingElement>: Sendable, Equatable {
  /// [n]: the slot of each row.
  package let slots: Tensor<Int32>
  /// [n]: 1 where the row itself is in `values`, 0 where the trainer keeps it.
  package let carried: Tensor<UInt8>
  /// [m, width]: the carried rows in order.
  package let values: Tensor<Element>

  package init(slots: Tensor<Int32>, carried: Tensor<UInt8>, values: Tensor<Element>) {
    self.slots = slots
    self.carried = carried
    self.values = values
  }

  package var count: Int { slots.count }

  func attach(to envelope: inout Envelope) {
    envelope.attach(slots)
    envelope.attach(carried)
    envelope.attach(values)
  }

  init(from envelope: inout OpenedEnvelope) throws(WireError) {
    slots = try envelope.takeTensor("row slots", rank: 1...1)
    carried = try envelope.takeTensor("carried flags", rank: 1...1)
    values = try envelope.takeTensor("rows", rank: 2...2)
    guard carried.count == slots.count else { throw .misshapen("carried flags do not match the slots") }
    let flags = carried.elements
    guard flags.allSatisfy({ $0 <= 1 }) else { throw .malformed("a carried flag other than 0 or 1") }
    guard flags.count(where: { $0 == 1 }) == values.rows else {
      throw .misshapen("as many rows as carried flags are due")
    }
  }
}
