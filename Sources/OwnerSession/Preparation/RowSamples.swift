import Masking
import Tensors
import Training
import Wire

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
