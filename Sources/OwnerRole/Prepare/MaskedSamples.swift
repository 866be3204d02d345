package import Foundation
import JobSpec
package import Masking
package import Numerics
package import Training
package import Protocol

/// Every sample of a job, masked on the way out: what both ways of training and the upload draw from.
///
/// `pass` numbers the epoch. A sample of rows is the same in every pass; the tokens of a sequence come in an order of their own
/// in each, which labels of tokens follow.
package protocol MaskedSamples<Element> {
  associatedtype Element: FloatingElement

  /// A new conversation with the trainer: it keeps rows with slots below `residentRows` once they are sent, and has none yet.
  mutating func beginConversation(residentRows: Int)

  /// Bytes of a delivery that plain float32 samples would not have.
  func bytesAdded(_ delivery: RowDelivery<Element>) -> Int

  /// Packs samples for one message: a row that the trainer keeps is not carried again.
  mutating func delivery(of slots: ArraySlice<Int32>, pass: Int) throws -> RowDelivery<Element>

  /// The trainer has worked on these: it keeps those that it has room for. Before, one that comes again is carried again.
  mutating func arrived(_ slots: ArraySlice<Int32>)

  /// The targets of the outputs of `slots`, in the order those come in.
  func targets(of slots: ArraySlice<Int32>, pass: Int) throws -> Targets<Element>

  /// What the mean of a loss over `slots` is taken over.
  func observedCount(of slots: ArraySlice<Int32>) throws -> Int

  /// Rows of outputs that `slots` have.
  func outputRows(of slots: ArraySlice<Int32>) throws -> Int

  /// Samples per upload message.
  var samplesPerChunk: Int { get }

  /// Uploads `slots` for a loss at the trainer.
  func uploadMessage(_ slots: Range<Int>) throws -> (message: OwnerMessage<Element>, addedBytes: Int)
}

extension MaskedSamples {
  /// How the outputs of `slots` are divided into samples; nil where each has one row of them.
  func outputLayout(of slots: ArraySlice<Int32>) throws -> SequenceLayout? {
    guard try outputRows(of: slots) != slots.count else { return nil }
    var offsets = [0]
    for index in slots.indices {
      offsets.append(offsets[offsets.count - 1] + (try outputRows(of: slots[index...index])))
    }
    return SequenceLayout(offsets: offsets, pooled: [])
  }
}

extension PreparedJob {
  /// Reads every sample of the plan once, in the order of the file, into scratch space.
  ///
  /// - Parameters:
  ///   - keys: what rows are masked with on the way; those of `identityPlan` leave them as they are.
  ///   - master: what orders of tokens are drawn from.
  ///   - noise: nil for a job without.
  ///   - standardization: nil for a job without, and for tokens.
  ///   - progress: rows done and rows in all; what it throws ends the work.
  /// - Returns: the samples, and a hash of their values in the order of the file.
  /// - Throws: `DatasetError` from reading; `FileError` of kind `.exhausted` when the scratch directory is full; `OwnerError.unfitJob`.
  package func readSamples<Element: FloatingElement>(
    keys: JobKeys<Element>, master: MasterKey, noise: InputNoise?, standardization: Standardization?, scratch: URL,
    times: inout PhaseTimes, progress: (Int, Int) throws -> Void
  ) throws -> (samples: any MaskedSamples<Element>, contentHash: UInt64) {
    switch source {
    case .features(let features):
      guard let labels else { throw OwnerError.unfitJob("rows of features need data.labels") }
      let spool = try RowSpool(
        self, source: features, standardization: standardization, noise: noise, keys: keys, scratch: scratch,
        times: &times, progress: progress)
      return (RowSamples(spool: spool, prepared: self, labels: labels), spool.contentHash)
    case .tokens(let tokens):
      let spool = try times.reading.measure {
        try TokenSpool(self, tokens: tokens, scratch: scratch, progress: progress)
      }
      let packer = TokenPacker(
        embedding: try tokens.model.embedding(), keys: keys, master: master, noise: noise, settings: tokens.settings,
        compute: keys.compute)
      return (
        TokenSamples(spool: spool, packer: packer, labels: labels, rowOfSlot: plan.rowOfSlot), spool.contentHash
      )
    }
  }
}

/// Rows of features: each masked once, and carried once where the trainer keeps it.
struct RowSamples<Element: FloatingElement>: MaskedSamples {
  private static var chunkBytes: Int { 4 << 20 }

  private let spool: RowSpool<Element>
  private let labels: JobLabels
  private let rowOfSlot: [Int32]
  /// d, of which the masked row has `spool.width`.
  private let features: Int
  private var sender: RowSender<Element>

  init(spool: RowSpool<Element>, prepared: PreparedJob, labels: JobLabels) {
    self.spool = spool
    self.labels = labels
    rowOfSlot = prepared.plan.rowOfSlot
    features = prepared.shape.data.features
    sender = RowSender(spool: spool, residentRows: 0)
  }

  mutating func beginConversation(residentRows: Int) {
    sender = RowSender(spool: spool, residentRows: residentRows)
  }

  func bytesAdded(_ delivery: RowDelivery<Element>) -> Int {
    bytesAdded(rows: delivery.values.rows)
  }

  func delivery(of slots: ArraySlice<Int32>, pass: Int) throws -> RowDelivery<Element> {
    try sender.delivery(of: slots)
  }

  mutating func arrived(_ slots: ArraySlice<Int32>) {
    sender.arrived(slots)
  }

  func targets(of slots: ArraySlice<Int32>, pass: Int) -> Targets<Element> {
    labels.targets(slots, rowOfSlot: rowOfSlot)
  }

  func observedCount(of slots: ArraySlice<Int32>) -> Int {
    targets(of: slots, pass: 0).observedCount
  }

  func outputRows(of slots: ArraySlice<Int32>) -> Int { slots.count }

  var samplesPerChunk: Int { max(1, Self.chunkBytes / (spool.width * MemoryLayout<Element>.size)) }

  func uploadMessage(_ slots: Range<Int>) throws -> (message: OwnerMessage<Element>, addedBytes: Int) {
    (
      .storeRows(firstSlot: slots.lowerBound, values: try spool.rows(Array(slots))),
      bytesAdded(rows: slots.count)
    )
  }

  private func bytesAdded(rows: Int) -> Int {
    rows * (spool.width - features) * MemoryLayout<Element>.size
  }
}

/// Packs rows for the trainer, carrying each only if the trainer does not keep it already.
struct RowSender<Element: FloatingElement> {
  private let spool: RowSpool<Element>
  private var isKept: [Bool]

  /// - Parameter residentRows: rows with slots below this stay at the trainer once it has worked on them on this connection.
  init(spool: RowSpool<Element>, residentRows: Int) {
    self.spool = spool
    isKept = Array(repeating: false, count: residentRows)
  }

  func delivery(of slots: some Collection<Int32>) throws -> RowDelivery<Element> {
    var carriedSlots: [Int] = []
    var carried = Tensor<UInt8>(zeros: [slots.count])
    for (position, slot) in slots.enumerated() {
      let slot = Int(slot)
      if slot < isKept.count, isKept[slot] { continue }
      carried[position] = 1
      carriedSlots.append(slot)
    }
    return RowDelivery(
      slots: Tensor(Array(slots), shape: [slots.count]), carried: carried,
      values: try spool.rows(carriedSlots))
  }

  mutating func arrived(_ slots: some Collection<Int32>) {
    for slot in slots where slot < isKept.count { isKept[Int(slot)] = true }
  }
}
