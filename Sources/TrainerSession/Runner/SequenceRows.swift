import Tensors
import Training
import Wire

/// The inputs of parts whose samples are sequences: each delivery carries all of its tokens, and none are kept, because the owner
/// sends them under another order every time.
struct SequenceRows<Element: FloatingElement> {
  let width: Int
  /// Tokens of the longest sample.
  let maximumTokens: Int

  /// Checks a delivery: right width, finite values, every slot in 0 ..< `slotLimit`, no sample too long.
  func check(_ delivery: RowDelivery<Element>, slotLimit: Int) throws(WireError) {
    guard delivery.hasSequences else { throw .misshapen("samples of several tokens without their lengths") }
    guard delivery.values.columns == width else {
      throw .misshapen("tokens are \(delivery.values.columns) wide, the job's input is \(width)")
    }
    for slot in delivery.slots.elements where slot < 0 || Int(slot) >= slotLimit {
      throw .outOfOrder("row slot \(slot) of \(slotLimit)")
    }
    try Self.check(lengths: delivery.lengths, maximumTokens: maximumTokens)
    guard delivery.values.allFinite else { throw .notFinite("a masked token") }
  }

  static func check(lengths: Tensor<Int32>, maximumTokens: Int) throws(WireError) {
    for length in lengths.elements where Int(length) > maximumTokens {
      throw .oversized(what: "sample", size: Int(length), limit: maximumTokens)
    }
  }

  func place(_ delivery: RowDelivery<Element>, into destination: UnsafeMutableBufferPointer<Element>) {
    delivery.values.withUnsafeBufferPointer { _ = destination.update(fromContentsOf: $0) }
  }
}
