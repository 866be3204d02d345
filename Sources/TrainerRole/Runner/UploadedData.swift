import Models
import Files
import Foundation
import Numerics
import Training
import Protocol
import Service

/// Rows, labels and batch plan of a job whose loss the trainer computes: durable files beside its checkpoints.
///
/// `rows.bin` is slots × width, or tokens × width in slot order with `lengths.bin` beside it; `targets.bin` slots (or tokens) × 1
/// class ids (Int32) or slots × outputs values; `plan.bin` steps × batch slots (Int32).
struct UploadedData<Element: FloatingElement> {
  private let description: JobDescription
  private let width: Int
  private let outputs: Int
  private let isPerToken: Bool
  private let rows: RowFile<Element>
  /// Where samples are sequences.
  private var sequences: SequenceIndex?
  private let classes: RowFile<Int32>?
  private let values: RowFile<Element>?
  private let plan: RowFile<Int32>
  private(set) var storedRows = 0
  private(set) var storedTargets = 0
  private(set) var storedSteps = 0

  init(description: JobDescription, width: Int, outputs: Int, folder: URL) throws {
    self.description = description
    self.width = width
    self.outputs = outputs
    let task = description.task ?? .classification
    isPerToken = task.isPerToken
    sequences = try description.graph.maximumTokens.map {
      try SequenceIndex(
        folder: folder, totalSamples: description.totalRows, totalTokens: description.totalTokens, maximumTokens: $0)
    }
    rows = try RowFile(
      path: folder.appending(path: "rows.bin").path, columns: width,
      capacity: sequences == nil ? description.totalRows : description.totalTokens)
    let targets = folder.appending(path: "targets.bin").path
    let targetRows = Self.targetRows(description)
    if task.hasClasses {
      classes = try RowFile(path: targets, columns: 1, capacity: targetRows)
      values = nil
    } else {
      classes = nil
      values = try RowFile(path: targets, columns: outputs, capacity: targetRows)
    }
    plan = try RowFile(
      path: folder.appending(path: "plan.bin").path, columns: description.batch, capacity: description.totalSteps)
  }

  /// Labels of the whole job.
  private static func targetRows(_ description: JobDescription) -> Int {
    description.task?.isPerToken == true ? description.totalTokens : description.totalRows
  }

  /// Bytes the files of a job take; nil on overflow.
  static func byteCount(_ description: JobDescription, width: Int, outputs: Int) -> Int? {
    let isOfSequences = description.graph.maximumTokens != nil
    let inputRows = isOfSequences ? description.totalTokens : description.totalRows
    let hasClasses = description.task?.hasClasses == true
    return Shape.sum([
      Shape.byteCount([inputRows, width], Element.elementType),
      isOfSequences ? SequenceIndex.byteCount(samples: description.totalRows) : 0,
      Shape.byteCount(
        [targetRows(description), hasClasses ? 1 : outputs], hasClasses ? .int32 : Element.elementType),
      Shape.byteCount([description.totalSteps, description.batch], .int32),
    ])
  }

  /// Opens the complete upload that an earlier process received.
  mutating func reopen() throws {
    try sequences?.load()
  }

  /// Labels are sent again from the first: they are small, and an owner is not told how many are here.
  mutating func restartTargets() {
    storedTargets = 0
  }

  mutating func storeRows(firstSlot: Int, _ values: Tensor<Element>) throws -> Int {
    guard sequences == nil else { throw WireError.misshapen("samples of several tokens without their lengths") }
    guard firstSlot == storedRows, values.rows <= description.totalRows - firstSlot else {
      throw WireError.outOfOrder("rows from slot \(firstSlot) where \(storedRows) is due")
    }
    guard values.columns == width else { throw WireError.misshapen("rows are \(values.columns) wide, not \(width)") }
    guard values.allFinite else { throw WireError.notFinite("a masked row") }
    try values.withUnsafeBufferPointer { try rows.write($0, at: firstSlot) }
    storedRows += values.rows
    return storedRows
  }

  /// Appends samples to those of the slots before, whole ones: what is stored always ends where a sample does.
  mutating func storeSequences(
    firstSlot: Int, lengths: Tensor<Int32>, pooled: Tensor<Int32>, _ values: Tensor<Element>
  ) throws -> Int {
    // Taken out while it is changed, so that it is not copied.
    guard var index = sequences else { throw WireError.misshapen("samples of several tokens for a model of rows") }
    guard firstSlot == storedRows, lengths.count <= description.totalRows - firstSlot else {
      throw WireError.outOfOrder("rows from slot \(firstSlot) where \(storedRows) is due")
    }
    guard values.columns == width else { throw WireError.misshapen("tokens are \(values.columns) wide, not \(width)") }
    try index.check(lengths: lengths)
    guard values.allFinite else { throw WireError.notFinite("a masked token") }
    try values.withUnsafeBufferPointer { try rows.write($0, at: index.tokens) }
    sequences = nil
    defer { sequences = index }
    try index.append(lengths: lengths, pooled: pooled)
    storedRows += lengths.count
    return storedRows
  }

  /// `firstSlot` counts tokens where each has a label.
  mutating func storeTargets(firstSlot: Int, _ targets: MaskedTargets<Element>) throws -> Int {
    guard firstSlot == storedTargets, targets.count <= Self.targetRows(description) - firstSlot else {
      throw WireError.outOfOrder("labels from slot \(firstSlot) where \(storedTargets) is due")
    }
    switch targets {
    case .classes(let ids):
      guard let classes else { throw WireError.misshapen("class labels for a task that has none") }
      // A token that does not count has a negative label.
      guard ids.elements.allSatisfy({ ($0 >= 0 || isPerToken) && Int($0) < outputs }) else {
        throw WireError.misshapen("a class label outside 0 ..< \(outputs)")
      }
      try ids.withUnsafeBufferPointer { try classes.write($0, at: firstSlot) }
    case .values(let labels):
      guard let values else { throw WireError.misshapen("label values where class ids are due") }
      guard labels.columns == outputs else {
        throw WireError.misshapen("labels are \(labels.columns) wide, not \(outputs)")
      }
      guard labels.elements.allSatisfy({ !$0.isInfinite }) else { throw WireError.notFinite("a label") }
      try labels.withUnsafeBufferPointer { try values.write($0, at: firstSlot) }
    }
    storedTargets += targets.count
    return storedTargets
  }

  mutating func storePlan(firstStep: Int, _ slots: Tensor<Int32>) throws -> Int {
    guard firstStep == storedSteps, slots.rows <= description.totalSteps - firstStep else {
      throw WireError.outOfOrder("batches from step \(firstStep) where \(storedSteps) is due")
    }
    guard slots.columns == description.batch else {
      throw WireError.misshapen("batches of \(slots.columns) rows, not \(description.batch)")
    }
    guard slots.elements.allSatisfy({ $0 >= -1 && Int($0) < description.trainingRows }) else {
      throw WireError.outOfOrder("a batch names a row that is not a training row")
    }
    for row in 0..<slots.rows where slots[row, 0] < 0 { throw WireError.outOfOrder("an empty batch") }
    try slots.withUnsafeBufferPointer { try plan.write($0, at: firstStep) }
    storedSteps += slots.rows
    return storedSteps
  }

  var isComplete: Bool {
    storedRows == description.totalRows && sequences?.isComplete != false
      && storedTargets == Self.targetRows(description) && storedSteps == description.totalSteps
  }

  /// Makes everything durable.
  func sync() throws {
    try rows.sync()
    try sequences?.sync()
    try classes?.sync()
    try values?.sync()
    try plan.sync()
  }

  /// The slots of a step's batch, without padding.
  func batch(step: Int) throws -> [Int] {
    let slots = try [Int32](unsafeUninitializedCapacity: description.batch) { buffer, count in
      try plan.gather([step], into: UnsafeMutableBufferPointer(rebasing: buffer[0..<description.batch]))
      count = description.batch
    }
    return slots.filter { $0 >= 0 }.map(Int.init)
  }

  /// The inputs of the samples in `slots`, one after the other.
  func gather(_ slots: [Int], into destination: UnsafeMutableBufferPointer<Element>) throws {
    try rows.gather(sequences?.tokenRows(of: slots) ?? slots, into: destination)
  }

  /// How those inputs are divided into samples; nil where a sample is one row.
  func layout(of slots: [Int]) -> SequenceLayout? {
    sequences?.layout(of: slots)
  }

  /// The labels of the samples in `slots`, or of all their tokens where each has one.
  func targets(_ slots: [Int]) throws -> Targets<Element> {
    let slots = isPerToken ? sequences?.tokenRows(of: slots) ?? slots : slots
    if let classes {
      return .classes(
        try [Int32](unsafeUninitializedCapacity: slots.count) { buffer, count in
          try classes.gather(slots, into: UnsafeMutableBufferPointer(rebasing: buffer[0..<slots.count]))
          count = slots.count
        })
    }
    var labels = Tensor<Element>(uninitialized: [slots.count, outputs])
    try labels.withUnsafeMutableBufferPointer { try values?.gather(slots, into: $0) }
    return .values(labels)
  }
}
