import Architecture
import Checkpoints
import Foundation
import Tensors
import Training
import Wire

/// Inputs that an owner delivers part by part.
enum DeliveredInputs<Element: FloatingElement> {
  case rows(ResidentRows<Element>)
  case sequences(SequenceRows<Element>)

  /// For one attachment.
  init(_ context: RunnerContext<Element>) throws {
    let description = context.description
    let width = context.engine.model.inputWidth
    if let maximumTokens = description.model.maximumTokens {
      self = .sequences(SequenceRows(width: width, maximumTokens: maximumTokens))
    } else {
      self = .rows(
        try ResidentRows(
          totalRows: description.totalRows, width: width, byteLimit: context.configuration.rowStoreLimit,
          directory: context.folder, workers: context.configuration.workers))
    }
  }

  var width: Int {
    switch self {
    case .rows(let rows): rows.width
    case .sequences(let sequences): sequences.width
    }
  }

  /// Rows with slots below this are kept once they were carried.
  var residentRows: Int {
    switch self {
    case .rows(let rows): rows.capacity
    case .sequences: 0
    }
  }

  func check(_ delivery: RowDelivery<Element>, slotLimit: Int) throws(WireError) {
    switch self {
    case .rows(let rows): try rows.check(delivery, slotLimit: slotLimit)
    case .sequences(let sequences): try sequences.check(delivery, slotLimit: slotLimit)
    }
  }

  /// How a checked delivery's tokens are divided into samples; nil where a sample is one row.
  func layout(of delivery: RowDelivery<Element>) -> SequenceLayout? {
    switch self {
    case .rows: nil
    case .sequences: SequenceLayout(lengths: delivery.lengths.elements, pooled: delivery.pooled.elements)
    }
  }

  /// Writes the inputs of a checked delivery to `destination`.
  mutating func place(
    _ delivery: RowDelivery<Element>, into destination: UnsafeMutableBufferPointer<Element>
  ) throws {
    switch self {
    case .sequences(let sequences): sequences.place(delivery, into: destination)
    case .rows(var rows):
      // Taken out while it is changed, so that its list of slots is not copied.
      self = .sequences(SequenceRows(width: 0, maximumTokens: 0))
      defer { self = .rows(rows) }
      try rows.place(delivery, into: destination)
    }
  }
}
