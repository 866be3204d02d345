import Masking
import Numerics
import Training
import Protocol

/// Every sample of a job, masked on the way out: what both ways of training and the upload draw from.
///
/// `pass` numbers the epoch. A sample of rows is the same in every pass; the tokens of a sequence come in an order of their own
/// in each, which labels of tokens follow.
protocol MaskedSamples<Element> {
  associatedtype Element: FloatingElement

  /// A new conversation with the trainer: it keeps rows with slots below `residentRows` once they are sent, and has none yet.
  mutating func beginConversation(residentRows: Int)

  /// Bytes of a delivery that plain float32 samples would not have.
  func bytesAdded(_ delivery: RowDelivery<Element>) -> Int

  /// Packs samples for one message. Called in the order of sending: a row that the trainer keeps is not carried again.
  mutating func delivery(of slots: ArraySlice<Int32>, pass: Int) throws -> RowDelivery<Element>

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

  mutating func delivery(of slots: ArraySlice<Int32>, pass: Int) throws -> RowDelivery<Element> {
    try sender.delivery(of: slots)
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
