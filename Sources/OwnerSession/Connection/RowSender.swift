import Tensors
import Wire

/// Packs rows for the trainer, carrying each only if the trainer does not keep it already.
struct RowSender<Element: FloatingElement> {
  private let spool: RowSpool<Element>
  private var sent: [Bool]

  /// - Parameter residentRows: rows with slots below this stay at the trainer once sent on this connection.
  init(spool: RowSpool<Element>, residentRows: Int) {
    self.spool = spool
    sent = Array(repeating: false, count: residentRows)
  }

  mutating func delivery(of slots: some Collection<Int32>) throws -> RowDelivery<Element> {
    var carriedSlots: [Int] = []
    var carried = Tensor<UInt8>(zeros: [slots.count])
    for (position, slot) in slots.enumerated() {
      let slot = Int(slot)
      if slot < sent.count {
        if sent[slot] { continue }
        sent[slot] = true
      }
      carried[position] = 1
      carriedSlots.append(slot)
    }
    return RowDelivery(
      slots: Tensor(Array(slots), shape: [slots.count]), carried: carried,
      values: try spool.rows(carriedSlots))
  }
}
