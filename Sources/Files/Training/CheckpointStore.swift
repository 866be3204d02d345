import Foundations
import Numerics

/// A directory of one job's checkpoints: one file a step, the best weights in files of their own, and what is never trained in
/// one. Plain files and rename, for one writing process.
package struct CheckpointStore: Sendable {
  package let directory: String

  /// Makes the directory where it does not exist and removes what a killed process left half-written.
  ///
  /// - Parameter removingLeftovers: false while another thread may be writing in the directory, whose unfinished file would
  ///   look the same.
  package init(directory: String, removingLeftovers: Bool = true) throws(FileError) {
    try Directory.create(directory)
    if removingLeftovers { try AtomicFile.removeLeftovers(in: directory) }
    self.directory = directory
  }

  /// Steps with a checkpoint, smallest first.
  package func steps() throws(FileError) -> [Int] {
    try Self.steps(in: directory)
  }

  /// As `steps()`, of a directory that is only read.
  package static func steps(in directory: String) throws(FileError) -> [Int] {
    try Directory.names(in: directory).compactMap { step($0, prefix) }.sorted()
  }

  /// Steps whose weights were the best so far when they were kept, smallest first.
  package func bestSteps() throws(FileError) -> [Int] {
    try Directory.names(in: directory).compactMap { Self.step($0, Self.bestPrefix) }.sorted()
  }

  /// The best weights that the checkpoint of a step refers to; nil when it refers to none.
  ///
  /// - Throws: `FileError` for a file that is no checkpoint.
  package func best(ofStep step: Int) throws(FileError) -> CheckpointRecord.Best? {
    let path = path(step)
    let file = try SafetensorsFile(path: path)
    do throws(TrainingCheckpointProblem) {
      return try CheckpointRecord(file.header.metadata).best
    } catch {
      throw .checkpoint(path: path, error)
    }
  }

  /// Opens a file of a job.
  ///
  /// - Parameter step: of the state or the best weights; 0 for the frozen ones.
  /// - Throws: as `CheckpointReader.init`; `.checkpoint(.noSuchStep)`, also for a file that carries another step than its name.
  package func read<Element>(
    _ content: CheckpointContent, step: Int = 0, as type: Element.Type = Element.self, jobDigest: String,
    tensors: CheckpointTensors
  ) throws(FileError) -> CheckpointReader<Element> {
    let path = path(content, step)
    if content == .state, try !steps().contains(step) { throw .checkpoint(path: path, .noSuchStep(step)) }
    let reader = try CheckpointReader<Element>(from: path, content: content, jobDigest: jobDigest) {
      tensors.descriptions(content, step: $0)
    }
    guard reader.record.step == step else { throw .checkpoint(path: path, .noSuchStep(step)) }
    return reader
  }

  /// Begins a file of a job; see `CheckpointWriter`.
  package func write<Element>(
    _ record: CheckpointRecord, as type: Element.Type = Element.self, tensors: CheckpointTensors
  ) throws(FileError) -> CheckpointWriter<Element> {
    try CheckpointWriter(
      to: path(record.content, record.step), record: record,
      tensors: tensors.descriptions(record.content, step: record.step))
  }

  /// Removes the checkpoints of steps below `step`, and the best weights that neither the remaining ones nor the run itself
  /// refers to.
  ///
  /// - Parameter best: the step of the best weights so far.
  package func removeAll(before step: Int, keepingBest best: Int?) throws(FileError) {
    for old in try steps() where old < step { try Directory.remove(path(old)) }
    let unused = try bestSteps().filter { $0 != best }
    guard !unused.isEmpty else { return }
    var spokenOf = Set<Int>()
    for left in try steps() {
      do throws(FileError) {
        if let best = try self.best(ofStep: left) { spokenOf.insert(best.step) }
      } catch {
        // What a damaged checkpoint needs is not known: everything stays.
        return
      }
    }
    for old in unused where !spokenOf.contains(old) { try Directory.remove(path(.best, old)) }
  }

  /// Where a file is kept: `checkpoint-000000123.safetensors`, `best-000000100.safetensors`, `frozen.safetensors`, `corrections.safetensors`.
  package func path(_ content: CheckpointContent, _ step: Int = 0) -> String {
    switch content {
    case .state: path(step)
    case .best: path(step, Self.bestPrefix)
    case .frozen: directory + "/frozen" + Self.suffix
    case .corrections: directory + "/corrections" + Self.suffix
    }
  }

  /// Where the checkpoint of a step is kept: `checkpoint-000000123.safetensors`.
  package func path(_ step: Int) -> String {
    path(step, Self.prefix)
  }

  package static func path(_ step: Int, in directory: String) -> String {
    path(step, prefix, in: directory)
  }

  private func path(_ step: Int, _ prefix: String) -> String {
    Self.path(step, prefix, in: directory)
  }

  private static func path(_ step: Int, _ prefix: String, in directory: String) -> String {
    let digits = String(step)
    return directory + "/" + prefix + String(repeating: "0", count: max(0, 9 - digits.count)) + digits + suffix
  }

  private static let prefix = "checkpoint-"
  private static let bestPrefix = "best-"
  private static let suffix = ".safetensors"

  /// The step that a file name states; nil for any other file.
  private static func step(_ name: String, _ prefix: String) -> Int? {
    guard name.hasPrefix(prefix), name.hasSuffix(suffix) else { return nil }
    let digits = name.dropFirst(prefix.count).dropLast(suffix.count)
    guard digits.utf8.count >= 9, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    // Written without more zeros than needed, so that one step has one name.
    return digits.utf8.count > 9 && digits.first == "0" ? nil : Int(digits)
  }
}

/// What a checkpoint file says beside its tensors.
package struct CheckpointRecord: Sendable, Equatable {
  /// The weights after the best epoch, in a file of their own.
  package struct Best: Sendable, Equatable {
    /// Steps that were done.
    package var step: Int
    package var epoch: Int
    /// Known when the trainer evaluates.
    package var metric: Double?

    package init(step: Int, epoch: Int, metric: Double?) {
      self.step = step
      self.epoch = epoch
      self.metric = metric
    }
  }

  package var content: CheckpointContent
  /// Steps that are done.
  package var step: Int
  /// The digest of the job it belongs to, lower-case hexadecimal; compared as text.
  package var jobDigest: String
  /// Where the job keeps the best weights and an epoch has ended.
  package var best: Best?
  /// The content hash of the job's frozen weights, 16 hexadecimal digits, where it has such.
  package var frozenHash: String?

  package init(
    content: CheckpointContent, step: Int, jobDigest: String, best: Best? = nil, frozenHash: String? = nil
  ) {
    self.content = content
    self.step = step
    self.jobDigest = jobDigest
    self.best = best
    self.frozenHash = frozenHash
  }

  /// Without the hash.
  var metadata: [String: String] {
    var metadata = [
      CheckpointFormat.formatKey: CheckpointFormat.format, CheckpointFormat.versionKey: CheckpointFormat.version,
      CheckpointFormat.contentKey: content.rawValue, CheckpointFormat.stepKey: "\(step)",
      CheckpointFormat.jobKey: jobDigest,
    ]
    metadata[CheckpointFormat.frozenKey] = frozenHash
    if let best {
      metadata[CheckpointFormat.bestStepKey] = "\(best.step)"
      metadata[CheckpointFormat.bestEpochKey] = "\(best.epoch)"
      // Swift prints the shortest text that reads back as the same number.
      metadata[CheckpointFormat.bestMetricKey] = best.metric.map { "\($0)" }
    }
    return metadata
  }

  /// - Throws: `.notACheckpoint`, `.unsupportedVersion`, `.malformedMetadata`.
  init(_ metadata: [String: String]) throws(TrainingCheckpointProblem) {
    guard metadata[CheckpointFormat.formatKey] == CheckpointFormat.format else { throw .notACheckpoint }
    let version = metadata[CheckpointFormat.versionKey] ?? "none"
    guard version == CheckpointFormat.version else { throw .unsupportedVersion(version.printable(limit: 80)) }
    guard let content = metadata[CheckpointFormat.contentKey].flatMap(CheckpointContent.init(rawValue:)) else {
      throw .malformedMetadata(key: CheckpointFormat.contentKey)
    }
    guard let step = try Self.number(metadata, CheckpointFormat.stepKey) else {
      throw .malformedMetadata(key: CheckpointFormat.stepKey)
    }
    self.init(
      content: content, step: step, jobDigest: metadata[CheckpointFormat.jobKey] ?? "",
      best: try Self.best(metadata), frozenHash: metadata[CheckpointFormat.frozenKey])
  }

  private static func best(_ metadata: [String: String]) throws(TrainingCheckpointProblem) -> Best? {
    let epoch = try number(metadata, CheckpointFormat.bestEpochKey)
    guard let step = try number(metadata, CheckpointFormat.bestStepKey) else {
      guard epoch == nil else { throw .malformedMetadata(key: CheckpointFormat.bestStepKey) }
      return nil
    }
    guard let epoch else { throw .malformedMetadata(key: CheckpointFormat.bestEpochKey) }
    var metric: Double?
    if let text = metadata[CheckpointFormat.bestMetricKey] {
      guard let value = Double(text) else { throw .malformedMetadata(key: CheckpointFormat.bestMetricKey) }
      metric = value
    }
    return Best(step: step, epoch: epoch, metric: metric)
  }

  private static func number(
    _ metadata: [String: String], _ key: String
  ) throws(TrainingCheckpointProblem) -> Int? {
    guard let text = metadata[key] else { return nil }
    guard let value = Int(text), value >= 0 else { throw .malformedMetadata(key: key) }
    return value
  }
}
