import Architecture
import Foundation
import Masking
import Tensors
import Training
import Wire

/// Token sequences: embedded, shuffled where the model does not mind, and masked each time they are sent.
///
/// They are masked again for every pass, because a fresh order of tokens is the point of it; a vector under a permutation has the
/// same bits whatever is masked with it, and under a rotation the micro-batch, which the plan fixes, decides them.
struct TokenSamples<Element: FloatingElement>: MaskedSamples {
  /// Bytes of masked vectors a message of an upload.
  private static var chunkBytes: Int { 4 << 20 }

  let spool: TokenSpool
  let packer: TokenPacker<Element>
  /// Nil for tasks whose targets are tokens.
  let labels: JobLabels?
  let rowOfSlot: [Int32]

  /// Sequences are carried each time.
  func beginConversation(residentRows: Int) {}

  func bytesAdded(_ delivery: RowDelivery<Element>) -> Int {
    delivery.values.count * (MemoryLayout<Element>.size - MemoryLayout<Float>.size)
  }

  func delivery(of slots: ArraySlice<Int32>, pass: Int) throws -> RowDelivery<Element> {
    try packer.pack(try spool.samples(slots), slots: slots, pass: pass)
  }

  func targets(of slots: ArraySlice<Int32>, pass: Int) throws -> Targets<Element> {
    if let labels { return labels.targets(slots, rowOfSlot: rowOfSlot) }
    var ids: [Int32] = []
    let orders = packer.orders(pass: pass)
    for (slot, sample) in zip(slots, try spool.samples(slots)) {
      let targets = packer.settings.targets(of: sample)
      for place in orders(sample.count, slot) { ids.append(targets[place]) }
    }
    return .classes(ids)
  }

  func observedCount(of slots: ArraySlice<Int32>) throws -> Int {
    if let labels {
      let targets: Targets<Element> = labels.targets(slots, rowOfSlot: rowOfSlot)
      return targets.observedCount
    }
    return try spool.countedTokens(of: slots, packer.settings)
  }

  func outputRows(of slots: ArraySlice<Int32>) throws -> Int {
    packer.settings.task.isPerToken ? try spool.samples(slots).reduce(0) { $0 + $1.count } : slots.count
  }

  var samplesPerChunk: Int {
    max(1, Self.chunkBytes / (spool.maximumTokens * packer.embedding.width * MemoryLayout<Element>.size))
  }

  func uploadMessage(_ slots: Range<Int>) throws -> (message: OwnerMessage<Element>, addedBytes: Int) {
    let delivery = try delivery(of: slots.map { Int32($0) }[...], pass: 0)
    return (
      .storeSequences(
        firstSlot: slots.lowerBound, lengths: delivery.lengths, pooled: delivery.pooled, values: delivery.values),
      bytesAdded(delivery)
    )
  }
}
