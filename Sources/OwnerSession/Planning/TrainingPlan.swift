import Masking

/// The order of every batch of a run, decided before it starts.
///
/// Rows are renumbered into *slots*, 0 ..< trainingRows in the order epoch 0 visits them and then the validation rows, so that neither the
/// trainer nor the wire ever deals with a row's place in the file.
package struct TrainingPlan: Sendable {
  package let batch: Int
  package let epochs: Int
  /// Row number in the file of each slot.
  package let rowOfSlot: [Int32]
  package let trainingRows: Int
  private let orderSecret: OrderSecret
  private let balance: MicroBatchBalance?

  /// - Parameters:
  ///   - orderSecret: what the orders are drawn from; with it and the split, the plan is always the same.
  ///   - balance: how batches are dealt out to micro-batches; nil where all samples are of one size.
  package init(split: RowSplit, batch: Int, epochs: Int, orderSecret: OrderSecret, balance: MicroBatchBalance? = nil) {
    self.batch = batch
    self.epochs = epochs
    self.orderSecret = orderSecret
    self.balance = balance
    trainingRows = split.training.count
    let stream = orderSecret.stream(label: "order/0")
    let first = stream.permutation(split.training.count).map { Int32(split.training[$0]) }
    rowOfSlot = Self.dealt(first, rows: first, batch: batch, balance) + split.validation.map { Int32($0) }
  }

  package var validationRows: Int { rowOfSlot.count - trainingRows }
  package var totalRows: Int { rowOfSlot.count }
  package var stepsPerEpoch: Int { (trainingRows + batch - 1) / batch }
  package var totalSteps: Int { epochs * stepsPerEpoch }
  package var validationSlots: Range<Int> { trainingRows..<totalRows }

  /// The slots of an epoch in order of training.
  package func order(epoch: Int) -> [Int32] {
    if epoch == 0 { return (0..<Int32(trainingRows)).map { $0 } }
    let stream = orderSecret.stream(label: "order/\(epoch)")
    let slots = stream.permutation(trainingRows).map { Int32($0) }
    return Self.dealt(slots, rows: slots.map { rowOfSlot[Int($0)] }, batch: batch, balance)
  }

  /// `order` with each batch dealt out to its micro-batches.
  ///
  /// - Parameter rows: of the file, of each entry.
  private static func dealt(_ order: [Int32], rows: [Int32], batch: Int, _ balance: MicroBatchBalance?) -> [Int32] {
    guard let balance else { return order }
    return stride(from: 0, to: order.count, by: batch).flatMap { start in
      balance.places(rows[start..<min(order.count, start + batch)]).map { order[start + $0] }
    }
  }

  /// The part of an epoch's order that its batch `index` trains on.
  package func range(ofBatch index: Int) -> Range<Int> {
    (index * batch)..<min(trainingRows, (index + 1) * batch)
  }
}
