import Models
import Files
import Foundation
import Numerics
import Training
import Protocol

/// Inputs that an owner delivers part by part.
enum DeliveredInputs<Element: FloatingElement> {
  case rows(ResidentRows<Element>)
  case sequences(SequenceRows<Element>)

  /// For one attachment.
  init(_ context: RunnerContext<Element>) throws {
    let description = context.description
    let width = context.engine.model.inputWidth
    if let maximumTokens = description.graph.maximumTokens {
      self = .sequences(SequenceRows(width: width, maximumTokens: maximumTokens))
    } else {
      self = .rows(
        try ResidentRows(
          totalRows: description.totalRows, width: width, byteLimit: context.configuration.rowStoreLimit,
          directory: context.folder, workers: context.configuration.compute.workers))
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

/// The masked rows a trainer keeps for one attachment, so that each travels once. Up to a limit they live in memory, above it in an
/// unlinked scratch file: the page cache then holds what memory allows and the process stays small.
struct ResidentRows<Element: FloatingElement> {
  /// Bytes of rows that are kept in memory rather than in a file.
  private static var memoryLimit: Int { 192 << 20 }

  let width: Int
  /// Rows with slots below this are kept.
  let capacity: Int
  private let file: RowFile<Element>?
  private let workers: Workers
  private var present: [Bool]

  /// Keeps as many of `totalRows` as fit `byteLimit`.
  init(totalRows: Int, width: Int, byteLimit: Int, directory: URL, workers: Workers) throws {
    self.workers = workers
    self.width = width
    let fitting = max(0, byteLimit) / (width * MemoryLayout<Element>.size)
    capacity = min(totalRows, fitting)
    file =
      capacity > 0
      ? try RowFile(
        scratchIn: directory.path, columns: width, capacity: capacity, inMemoryUpTo: Self.memoryLimit) : nil
    present = Array(repeating: false, count: capacity)
  }

  /// Checks a delivery: right width, finite values, every slot in 0 ..< `slotLimit`, every row carried or kept.
  func check(_ delivery: RowDelivery<Element>, slotLimit: Int) throws(WireError) {
    guard !delivery.hasSequences else { throw .misshapen("samples of several tokens for a model of rows") }
    guard delivery.values.rows == 0 || delivery.values.columns == width else {
      throw .misshapen("rows are \(delivery.values.columns) wide, the job's input is \(width)")
    }
    guard delivery.values.allFinite else { throw .notFinite("a masked row") }
    for index in 0..<delivery.count {
      let slot = Int(delivery.slots[index])
      guard slot >= 0, slot < slotLimit else { throw .outOfOrder("row slot \(slot) of \(slotLimit)") }
      if delivery.carried[index] == 0, slot >= capacity || !present[slot] {
        throw .outOfOrder("row slot \(slot) was never sent on this connection")
      }
    }
  }

  /// Writes the rows of a checked delivery to `destination` ([n, width]) and keeps those that are to be kept.
  mutating func place(
    _ delivery: RowDelivery<Element>, into destination: UnsafeMutableBufferPointer<Element>
  ) throws {
    var carried = 0
    var index = 0
    while index < delivery.count {
      let isCarried = delivery.carried[index] == 1
      var end = index + 1
      while end < delivery.count, (delivery.carried[end] == 1) == isCarried { end += 1 }
      let target = UnsafeMutableBufferPointer(rebasing: destination[(index * width)..<(end * width)])
      if isCarried {
        delivery.values.withUnsafeBufferPointer { values in
          let source = values[(carried * width)..<((carried + end - index) * width)]
          _ = target.update(fromContentsOf: source)
        }
        carried += end - index
        try keep(UnsafeBufferPointer(target), slots: (index..<end).map { Int(delivery.slots[$0]) })
      } else {
        try file?.gather((index..<end).map { Int(delivery.slots[$0]) }, into: target, workers: workers)
      }
      index = end
    }
  }

  private mutating func keep(_ rows: UnsafeBufferPointer<Element>, slots: [Int]) throws {
    guard let file else { return }
    for (position, slot) in slots.enumerated() where slot < capacity {
      try file.write(UnsafeBufferPointer(rebasing: rows[(position * width)..<((position + 1) * width)]), at: slot)
      present[slot] = true
    }
  }
}
