import Models
import Files
import Datasets
package import Families
package import Foundation
package import Masking
package import Numerics
import Training
package import Protocol

/// Token sequences: embedded, shuffled where the model ignores token order, and masked each time they are sent.
///
/// They are masked again for every pass, because each pass has a fresh order of tokens; a vector under a permutation has the
/// same bits whatever is masked with it, and under a rotation the micro-batch, which the plan fixes, decides them.
struct TokenSamples<Element: FloatingElement>: MaskedSamples {
  /// Bytes of masked vectors per upload message.
  private static var chunkBytes: Int { 4 << 20 }

  let spool: TokenSpool
  let packer: TokenPacker<Element>
  /// Nil for tasks whose targets are tokens.
  let labels: JobLabels?
  let rowOfSlot: [Int32]

  /// Does nothing: sequences are sent each time.
  func beginConversation(residentRows: Int) {}

  func arrived(_ slots: ArraySlice<Int32>) {}

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

/// Embeds, noises, shuffles and masks samples of tokens for one message.
package struct TokenPacker<Element: FloatingElement> {
  let embedding: TokenEmbedding<Element>
  let keys: JobKeys<Element>
  /// What orders of tokens are drawn from: the key that `keys` are expanded from.
  let master: MasterKey
  /// Nil for a job without.
  let noise: InputNoise?
  let settings: TokenSettings
  let compute: Compute

  package init(
    embedding: TokenEmbedding<Element>, keys: JobKeys<Element>, master: MasterKey, noise: InputNoise?,
    settings: TokenSettings, compute: Compute
  ) {
    self.embedding = embedding
    self.keys = keys
    self.master = master
    self.noise = noise
    self.settings = settings
    self.compute = compute
  }

  /// - Parameter pass: the epoch; a sample's tokens go in an order of their own in each.
  package func pack(_ samples: [[Token]], slots: some Collection<Int32>, pass: Int) throws -> RowDelivery<Element> {
    var tokens: [Token] = []
    tokens.reserveCapacity(samples.reduce(0) { $0 + $1.count })
    var lengths: [Int32] = []
    var pooled: [Int32] = []
    var placed: [(number: Int32, places: [Int])] = []
    let orders = orders(pass: pass)
    for (slot, sample) in zip(slots, samples) {
      let order = orders(sample.count, slot)
      for place in order { tokens.append(sample[place]) }
      lengths.append(Int32(sample.count))
      let marked = settings.poolsLast ? sample.count - 1 : 0
      pooled.append(Int32(order.firstIndex(of: marked) ?? 0))
      placed.append((slot, order))
    }
    var vectors = embedding.vectors(tokens, workers: compute.workers)
    try noise?.add(to: &vectors, samples: placed, workers: compute.workers)
    return RowDelivery(
      slots: Tensor(Array(slots), shape: [slots.count]), lengths: Tensor(lengths, shape: [lengths.count]),
      pooled: Tensor(pooled, shape: [pooled.count]),
      values: try keys.maskInputs(vectors))
  }

  /// Places in the file's order, in the order they are sent, for a number of tokens and a slot.
  package func orders(pass: Int) -> (Int, Int32) -> [Int] {
    guard settings.shuffles else { return { count, _ in Array(0..<count) } }
    let drawn = TokenOrder(master: master, pass: pass)
    return { count, slot in drawn.order(sample: Int(slot), tokens: count) }
  }
}

/// The tokens of every sample by slot, in scratch memory or an unlinked scratch file: the HDF5 file is read once, in order, so that
/// each of its chunks is inflated once however the batches are shuffled.
package struct TokenSpool: Sendable {
  /// Bytes that are kept in memory rather than in a file.
  private static var memoryLimit: Int { 128 << 20 }
  /// Numbers a token takes: id, position, type, label.
  private static let fields = 4

  private let file: RowFile<Int32>
  /// Of all tokens, in the order of the file; 0 until they are read.
  private(set) var contentHash: UInt64 = 0
  /// Tokens of the longest sample there may be.
  package let maximumTokens: Int

  /// - Throws: `FileError` of kind `.exhausted` when the scratch directory is full.
  package init(maximumTokens: Int, capacity: Int, scratch: URL) throws {
    self.maximumTokens = max(1, maximumTokens)
    file = try RowFile(
      scratchIn: scratch.path, columns: 1 + Self.fields * self.maximumTokens, capacity: capacity,
      inMemoryUpTo: Self.memoryLimit)
  }

  /// - Parameter sample: at least 1 and at most `maximumTokens` tokens.
  package func write(_ sample: some RandomAccessCollection<Token>, slot: Int) throws {
    var record = Tensor<Int32>(zeros: [1, file.columns])
    record[0] = Int32(sample.count)
    for (place, token) in sample.enumerated() {
      let first = 1 + Self.fields * place
      record[first] = token.id
      record[first + 1] = token.position
      record[first + 2] = token.type
      record[first + 3] = token.label
    }
    try file.write(record, at: slot)
  }

  /// Tokens of the samples in `slots` that a loss counts. Keys decide the order in which tokens are sent, not how many count.
  func countedTokens(of slots: some Collection<Int32>, _ settings: TokenSettings) throws -> Int {
    try samples(slots).reduce(0) { $0 + settings.targets(of: $1).count { $0 >= 0 } }
  }

  /// The samples in `slots`, in that order.
  package func samples(_ slots: some Collection<Int32>) throws -> [[Token]] {
    let records = try file.gather(slots)
    return records.withUnsafeBufferPointer { entries in
      (0..<slots.count).map { row in
        let base = row * file.columns
        return (0..<Int(entries[base])).map { place in
          let first = base + 1 + Self.fields * place
          return Token(
            id: entries[first], position: entries[first + 1], type: entries[first + 2], label: entries[first + 3])
        }
      }
    }
  }
}

extension TokenSpool {
  /// Reads every sample of the plan, in the order of the file.
  ///
  /// - Parameter progress: rows done and rows in all; what it throws ends the work.
  /// - Throws: `DatasetError` from reading, `FileError` of kind `.exhausted` when the scratch directory is full.
  init(
    _ prepared: PreparedJob, tokens: TokenInputs, scratch: URL, progress: (Int, Int) throws -> Void
  ) throws {
    let slotOfRow = prepared.plan.slotOfRow(rows: tokens.source.rows)
    try self.init(
      maximumTokens: prepared.shape.data.maximumTokens ?? 1, capacity: prepared.plan.totalRows, scratch: scratch)
    var hash = ContentHash()
    try tokens.forEachSample { row, sample in
      withUnsafeBytes(of: sample.count) { hash.update($0) }
      // The columns are not trained on.
      let numbers = sample.flatMap { [$0.id, $0.position, $0.type, $0.label] }
      numbers.withUnsafeBytes { hash.update($0) }
      if slotOfRow[row] >= 0 { try write(sample, slot: Int(slotOfRow[row])) }
      if row % 1024 == 0 { try progress(row, tokens.source.rows) }
    }
    contentHash = hash.value()
  }
}
