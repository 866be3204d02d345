import Models
package import Cryptography
import Masking
package import Protocol
package import Training

/// The order of every batch of a run, decided before it starts.
///
/// Rows are renumbered into *slots*, 0 ..< trainingRows in the order epoch 0 visits them and then the validation rows, so that a row's place in the file is
/// known neither to the trainer nor on the wire.
package struct TrainingPlan: Sendable {
  /// Rows of a step; of a private job the most that one may have.
  package let batch: Int
  /// Rows of a step, of a private job on average.
  package let expectedBatch: Int
  package let epochs: Int
  /// Row number in the file of each slot.
  package let rowOfSlot: [Int32]
  package let trainingRows: Int
  private let orderSecret: OrderSecret
  private let balance: MicroBatchBalance?
  /// What the batches of a private job are drawn by; nil where they go through the rows epoch by epoch.
  private let sampling: PoissonSampling?

  /// - Parameters:
  ///   - batch: rows of a step, of a private job on average.
  ///   - orderSecret: what the orders are drawn from; with it and the split, the plan is always the same.
  ///   - balance: how batches are distributed over micro-batches; nil where all samples are of one size.
  ///   - sampling: of a private job, over the rows that are trained on.
  package init(
    split: RowSplit, batch: Int, epochs: Int, orderSecret: OrderSecret, balance: MicroBatchBalance? = nil,
    sampling: PoissonSampling? = nil
  ) {
    self.batch = sampling?.capacity ?? batch
    expectedBatch = batch
    self.sampling = sampling
    self.epochs = epochs
    self.orderSecret = orderSecret
    self.balance = balance
    trainingRows = split.training.count
    let stream = orderSecret.stream(label: "order/0")
    let first = stream.permutation(split.training.count).map { Int32(split.training[$0]) }
    rowOfSlot =
      Self.balanced(first, rows: first, batch: batch, sampling == nil ? balance : nil)
      + split.validation.map { Int32($0) }
  }

  /// The slot of each of the file's `rows` rows, −1 for those that the job does not use.
  package func slotOfRow(rows: Int) -> [Int32] {
    var slots = [Int32](repeating: -1, count: rows)
    for (slot, row) in rowOfSlot.enumerated() { slots[Int(row)] = Int32(slot) }
    return slots
  }

  package var validationRows: Int { rowOfSlot.count - trainingRows }
  package var totalRows: Int { rowOfSlot.count }
  package var stepsPerEpoch: Int { (trainingRows + expectedBatch - 1) / expectedBatch }
  package var totalSteps: Int { epochs * stepsPerEpoch }
  package var validationSlots: Range<Int> { trainingRows..<totalRows }

  /// The slots of an epoch in order of training; of a private job, whose batches are drawn, an order of all rows that nothing follows.
  package func order(epoch: Int) -> [Int32] {
    if epoch == 0 { return (0..<Int32(trainingRows)).map { $0 } }
    let stream = orderSecret.stream(label: "order/\(epoch)")
    let slots = stream.permutation(trainingRows).map { Int32($0) }
    return Self.balanced(slots, rows: slots.map { rowOfSlot[Int($0)] }, batch: batch, balance)
  }

  /// `order` with each batch distributed over its micro-batches.
  ///
  /// - Parameter rows: of the file, of each entry.
  private static func balanced(_ order: [Int32], rows: [Int32], batch: Int, _ balance: MicroBatchBalance?) -> [Int32] {
    guard let balance else { return order }
    return stride(from: 0, to: order.count, by: batch).flatMap { start in
      balance.places(rows[start..<min(order.count, start + batch)]).map { order[start + $0] }
    }
  }

  /// The slots that a step of a private job trains on, drawn for it alone, perhaps none; nil for other jobs.
  ///
  /// - Throws: `TrainingError.batchRows` for a batch beyond `batch`, which is as unlikely as `PoissonSampling` says.
  package func drawnSlots(ofStep step: Int) throws -> [Int32]? {
    guard let slots = try sampling?.batch(step: step) else { return nil }
    return Self.balanced(slots, rows: slots.map { rowOfSlot[Int($0)] }, batch: max(1, slots.count), balance)
  }

  /// The part of an epoch's order that its batch `index` trains on.
  package func range(ofBatch index: Int) -> Range<Int> {
    (index * batch)..<min(trainingRows, (index + 1) * batch)
  }
}

/// Which rows of a file are trained on and which validated on; both in ascending order of row number.
package struct RowSplit: Sendable, Equatable {
  package let training: [Int]
  package let validation: [Int]

  package init(training: [Int], validation: [Int]) {
    self.training = training
    self.validation = validation
  }

  /// A random `share` of the rows, drawn from `seed` alone so that everybody with the same job gets the same split.
  package static func fraction(_ share: Double, seed: Int, rows: Int) -> RowSplit {
    let stream = KeyStream(secret: Array("public seed \(seed)".utf8), label: "split")
    let shuffled = stream.permutation(rows)
    let count = Int((share * Double(rows)).rounded())
    return RowSplit(
      training: shuffled.dropFirst(count).sorted(), validation: shuffled.prefix(count).sorted())
  }

  /// Validates on rows whose group number leaves `remainder` when divided by `modulus` (non-negative remainders).
  package static func groups(_ groups: [Int64], modulus: Int, remainder: Int) -> RowSplit {
    partition(rows: groups.count) { row in
      let rest = groups[row] % Int64(modulus)
      return Int(rest < 0 ? rest + Int64(modulus) : rest) == remainder
    }
  }

  /// Validates on the rows listed.
  package static func listed(_ validation: [Int], rows: Int) -> RowSplit {
    let chosen = Set(validation)
    return partition(rows: rows) { chosen.contains($0) }
  }

  private static func partition(rows: Int, isValidation: (Int) -> Bool) -> RowSplit {
    var training: [Int] = []
    var validation: [Int] = []
    for row in 0..<rows {
      if isValidation(row) { validation.append(row) } else { training.append(row) }
    }
    return RowSplit(training: training, validation: validation)
  }
}

/// Distributes the samples of a batch over its micro-batches so that these have about equally many tokens: ranks that work on different
/// ones then end a step together. The samples of the batch stay the same, and so does its gradient.
package struct MicroBatchBalance: Sendable {
  private let microBatch: Int
  /// Of each row of the file.
  private let tokens: [Int32]

  /// - Parameters:
  ///   - microBatch: samples of a micro-batch, at least 1; the last of a batch may have fewer.
  ///   - tokens: of each row of the file.
  package init(microBatch: Int, tokens: [Int32]) {
    self.microBatch = microBatch
    self.tokens = tokens
  }

  /// The places of `rows`, one micro-batch after the other and within each in their own order.
  ///
  /// - Parameter rows: of the file, of one batch.
  package func places(_ rows: some RandomAccessCollection<Int32>) -> [Int] {
    let lengths = rows.map { Int(tokens[Int($0)]) }
    let room = stride(from: 0, to: lengths.count, by: microBatch).map { min(microBatch, lengths.count - $0) }
    let parts = BalancedAssignment(costs: lengths, room: room).bins
    return lengths.indices.sorted { (parts[$0], $0) < (parts[$1], $1) }
  }
}

/// What batch orders and starting weights are drawn from: a secret and the job's `train.seed`. In a job the secret is the owner's key.
///
/// Not the seed alone: a seed is small and written in the job file, and starting weights that the provider could draw for itself would be a
/// public base model, from which masked weights give the keys away. With the owner's key in it, the same owner, job and seed
/// still give the same run.
package struct OrderSecret: Sendable {
  private enum Source: Sendable {
    case owner(CurveKeyPair)
    case shared(SecretBuffer)
  }

  private let source: Source
  private let seed: Int

  package init(owner: CurveKeyPair, seed: Int) {
    source = .owner(owner)
    self.seed = seed
  }

  /// From bytes that several parties have, such as the sites of a federation.
  package init(shared: SecretBuffer, seed: Int) {
    source = .shared(shared)
    self.seed = seed
  }

  /// From a key made for the purpose: for checks in one process that nobody repeats.
  ///
  /// - Throws: `TransportError` when libzmq was built without CURVE.
  package init(ephemeralWithSeed seed: Int) throws {
    self.init(owner: try CurveKeyPair.generate(), seed: seed)
  }

  /// The public half of an owner's key, z85; empty for a shared secret.
  var ownerKey: String {
    switch source {
    case .owner(let owner): owner.publicKey.z85
    case .shared: ""
    }
  }

  package func stream(label: String) -> KeyStream {
    let label = "orders and starting weights/seed \(seed)/\(label)"
    switch source {
    case .owner(let owner): return owner.withSecretBytes { KeyStream(secret: $0, label: label) }
    case .shared(let secret): return KeyStream(secret: secret, label: label)
    }
  }
}
