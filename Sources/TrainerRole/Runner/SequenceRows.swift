import Files
import Foundations
import Foundation
import Numerics
import Training
import Protocol
import Service

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

/// Lengths and pooled tokens of uploaded samples, in slot order: a durable file, and in memory where each sample's tokens begin.
///
/// `lengths.bin` is slots × 2 (Int32): tokens of the sample, place of its pooled token among them.
struct SequenceIndex {
  private let file: RowFile<Int32>
  private let maximumTokens: Int
  private let totalSamples: Int
  private let totalTokens: Int
  /// Ascending from 0; one more than there are samples.
  private var offsets = [0]
  private var pooled: [Int32] = []

  init(folder: URL, totalSamples: Int, totalTokens: Int, maximumTokens: Int) throws {
    file = try RowFile(path: folder.appending(path: "lengths.bin").path, columns: 2, capacity: totalSamples)
    self.maximumTokens = maximumTokens
    self.totalSamples = totalSamples
    self.totalTokens = totalTokens
  }

  static func byteCount(samples: Int) -> Int? {
    Shape.byteCount([samples, 2], .int32)
  }

  var samples: Int { pooled.count }
  var tokens: Int { offsets[offsets.count - 1] }
  var isComplete: Bool { samples == totalSamples && tokens == totalTokens }

  /// - Throws: `WireError` for a sample that is too long, or tokens beyond those that the job stated, or short of them after its
  ///   last sample.
  func check(lengths: Tensor<Int32>) throws(WireError) {
    try SequenceRows<Float>.check(lengths: lengths, maximumTokens: maximumTokens)
    let after = lengths.elements.reduce(tokens) { $0 + Int($1) }
    guard after <= totalTokens, samples + lengths.count < totalSamples || after == totalTokens else {
      throw .misshapen(
        "\(samples + lengths.count) samples of \(after) tokens, the job has \(totalSamples) of \(totalTokens)")
    }
  }

  /// Adds samples whose tokens are written.
  mutating func append(lengths: Tensor<Int32>, pooled places: Tensor<Int32>) throws {
    let entries = zip(lengths.elements, places.elements).flatMap { [$0, $1] }
    try entries.withUnsafeBufferPointer { try file.write($0, at: samples) }
    add(entries)
  }

  /// Reads what an earlier process wrote of a complete upload.
  ///
  /// - Throws: `ServiceError` when the file is not that of such an upload.
  mutating func load() throws {
    offsets = [0]
    pooled = []
    // Some megabytes at a time.
    for first in stride(from: 0, to: totalSamples, by: 1 << 20) {
      let entries = try file.gather(Array(first..<min(totalSamples, first + 1 << 20))).elements
      for position in stride(from: 0, to: entries.count, by: 2) {
        let (length, place) = (entries[position], entries[position + 1])
        guard length >= 1, Int(length) <= maximumTokens, (0..<length).contains(place) else { throw Self.damaged }
      }
      add(entries)
    }
    guard isComplete else { throw Self.damaged }
  }

  func sync() throws {
    try file.sync()
  }

  private mutating func add(_ entries: [Int32]) {
    for position in stride(from: 0, to: entries.count, by: 2) {
      offsets.append(tokens + Int(entries[position]))
      pooled.append(entries[position + 1])
    }
  }

  /// Of the samples in these slots, which must be stored, one after the other.
  func layout(of slots: [Int]) -> SequenceLayout {
    SequenceLayout(
      lengths: slots.lazy.map { Int32(offsets[$0 + 1] - offsets[$0]) }, pooled: slots.lazy.map { pooled[$0] })
  }

  /// Rows of all tokens of the samples in these slots.
  func tokenRows(of slots: [Int]) -> [Int] {
    slots.flatMap { offsets[$0]..<offsets[$0 + 1] }
  }

  private static var damaged: ServiceError {
    ServiceError(.inputData, "the stored lengths of the job's samples are damaged; cancel the job and submit it anew")
  }
}
