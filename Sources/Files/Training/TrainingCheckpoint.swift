package import Models
import Foundations
import Foundation
package import Numerics

/// Names and metadata keys of checkpoint files.
enum CheckpointFormat {
  static let format = "training checkpoint"
  static let version = "2"
  static let optimizerPrefix = "optimizer."

  static let formatKey = "format"
  static let versionKey = "version"
  static let contentKey = "content"
  static let stepKey = "step"
  static let jobKey = "job_digest"
  static let frozenKey = "frozen_xxh64"
  static let bestStepKey = "best_step"
  static let bestEpochKey = "best_epoch"
  static let bestMetricKey = "best_metric"
  static let hashKey = "xxh64"

  static func isReserved(_ name: String) -> Bool {
    name.hasPrefix(optimizerPrefix) || name == SafetensorsHeader.metadataName
  }
}

/// What a checkpoint file holds.
package enum CheckpointContent: String, Sendable, CaseIterable {
  /// Trained parameters, and the optimizer's memory under `optimizer.`: with the frozen ones all that a run goes on from.
  case state
  /// Trained parameters alone: those after the best epoch so far.
  case best
  /// The parameters that training leaves as they are: stored once for all checkpoints of a job.
  case frozen
  /// What is added to the gradients of all steps of a job, and the weights that a pull goes to: stored once, as the frozen ones.
  case corrections
}

/// The tensors of a job's checkpoint files, in the order they are written and read in.
package struct CheckpointTensors: Sendable {
  private let trained: [TensorDescription]
  private let frozen: [TensorDescription]
  private let optimizerState: [TensorDescription]
  private let corrections: [TensorDescription]

  /// - Parameters:
  ///   - parameters: of the model.
  ///   - statePrefixes: what the optimizer keeps of each trained parameter, all tensors of the first prefix, then those of the
  ///     next: "momentum.layers.0.weight".
  ///   - correctionPrefixes: what corrections keep of each trained parameter, in the same order.
  package init(_ parameters: [ParameterSpecification], statePrefixes: [String], correctionPrefixes: [String] = []) {
    trained = parameters.filter(\.isTrained).map(TensorDescription.init)
    frozen = parameters.filter { !$0.isTrained }.map(TensorDescription.init)
    optimizerState = Self.descriptions(statePrefixes, of: trained)
    corrections = Self.descriptions(correctionPrefixes, of: trained)
  }

  private static func descriptions(_ prefixes: [String], of trained: [TensorDescription]) -> [TensorDescription] {
    prefixes.flatMap { prefix in trained.map { TensorDescription(name: "\(prefix).\($0.name)", shape: $0.shape) } }
  }

  package var hasFrozen: Bool { !frozen.isEmpty }
  package var hasCorrections: Bool { !corrections.isEmpty }

  /// - Parameter step: the starting weights are stored before any optimizer exists.
  package func descriptions(_ content: CheckpointContent, step: Int) -> [TensorDescription] {
    switch content {
    case .frozen: frozen
    case .best: trained
    case .corrections: corrections
    case .state:
      trained
        + (step == 0 ? [] : optimizerState).map {
          TensorDescription(name: CheckpointFormat.optimizerPrefix + $0.name, shape: $0.shape)
        }
    }
  }
}

/// A checkpoint file open for reading, tensor by tensor.
package final class CheckpointReader<Element: TensorElement> {
  package let record: CheckpointRecord
  /// As the file states it.
  package let contentHash: String
  private let path: String
  private let file: SafetensorsFile
  private let tensors: [TensorDescription]
  private let entries: [SafetensorsEntry]
  private var hash = CheckpointHash()
  private var next = 0

  /// Checks all but the tensors' bytes: that the file is whole, of this kind and job, and holds exactly these tensors. Memory
  /// for reading is thereby bounded by the job.
  ///
  /// - Parameter jobDigest: the digest the file must carry.
  /// - Throws: `.safetensors` for a file that is cut off or malformed, `.checkpoint` for the rest, `.system`.
  package init(
    from path: String, content: CheckpointContent, jobDigest: String, tensors: (_ step: Int) -> [TensorDescription]
  ) throws(FileError) {
    file = try SafetensorsFile(path: path)
    self.path = path
    do throws(TrainingCheckpointProblem) {
      record = try CheckpointRecord(file.header.metadata)
      guard record.content == content else { throw .otherContent(record.content) }
      guard record.jobDigest == jobDigest else { throw .otherJob }
      self.tensors = tensors(record.step)
      entries = try Self.entries(file, self.tensors)
    } catch {
      throw .checkpoint(path: path, error)
    }
    for entry in entries where entry.type != SafetensorsType(Element.elementType) {
      throw .safetensors(path: path, .wrongType(name: entry.name.printable(limit: 80), stored: entry.type.rawValue))
    }
    contentHash = file.header.metadata[CheckpointFormat.hashKey] ?? ""
  }

  private static func entries(
    _ file: SafetensorsFile, _ expected: [TensorDescription]
  ) throws(TrainingCheckpointProblem) -> [SafetensorsEntry] {
    var entries: [SafetensorsEntry] = []
    for tensor in expected {
      guard let entry = file.entry(tensor.name) else { throw .missingTensor(tensor.name) }
      guard entry.shape == tensor.shape else {
        throw .shape(name: tensor.name, expected: tensor.shape, found: entry.shape)
      }
      entries.append(entry)
    }
    let names = Set(expected.map(\.name))
    if let other = file.names.first(where: { !names.contains($0) }) {
      throw .unexpectedTensor(other.printable(limit: 80))
    }
    return entries
  }

  /// Reads the next tensor into `elements`, as many as its shape has.
  ///
  /// - Throws: `.checkpoint(.otherSize)` for another count; `.system`.
  package func readNext(into elements: UnsafeMutableBufferPointer<Element>) throws(FileError) {
    guard next < entries.count, elements.count == tensors[next].shape.reduce(1, *) else {
      throw .checkpoint(path: path, .otherSize)
    }
    let bytes = UnsafeMutableRawBufferPointer(elements)
    try file.fill(bytes, from: entries[next])
    hash.begin(tensors[next])
    hash.update(UnsafeRawBufferPointer(bytes))
    next += 1
  }

  /// Compares the hash of all that was read.
  ///
  /// - Throws: `.checkpoint(.damaged)`; `.otherSize` when tensors are left.
  package func finish() throws(FileError) {
    guard next == entries.count else { throw .checkpoint(path: path, .otherSize) }
    guard hash.text(file.header.metadata) == contentHash else { throw .checkpoint(path: path, .damaged) }
  }

  /// Reads the whole file once and compares its hash; keeps nothing.
  package func verify() throws(FileError) {
    var hash = CheckpointHash()
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    for (tensor, entry) in zip(tensors, entries) {
      hash.begin(tensor)
      for offset in stride(from: 0, to: entry.end - entry.begin, by: buffer.count) {
        let count = min(buffer.count, entry.end - entry.begin - offset)
        let result = buffer.withUnsafeMutableBytes { raw in
          Result { () throws(FileError) in
            let piece = UnsafeMutableRawBufferPointer(rebasing: raw[..<count])
            try file.fill(piece, from: entry, at: offset)
            hash.update(UnsafeRawBufferPointer(piece))
          }
        }
        try result.get()
      }
    }
    guard hash.text(file.header.metadata) == contentHash else { throw .checkpoint(path: path, .damaged) }
  }

  /// Rows of tensor number `index`: `[rows, …]`, the other dimensions as they are. Not verified.
  ///
  /// - Throws: `.checkpoint(.otherSize)` for rows or a tensor that are not there; `.system`.
  package func rows(_ rows: Range<Int>, ofTensor index: Int) throws(FileError) -> Tensor<Element> {
    guard tensors.indices.contains(index), rows.lowerBound >= 0, rows.upperBound <= tensors[index].shape.first ?? 1
    else {
      throw .checkpoint(path: path, .otherSize)
    }
    let rest = tensors[index].shape.dropFirst()
    var result = Tensor<Element>(uninitialized: [rows.count] + rest)
    let offset = rows.lowerBound * rest.reduce(1, *) * MemoryLayout<Element>.stride
    try result.withUnsafeMutableBufferPointer { (buffer) throws(FileError) in
      try file.fill(UnsafeMutableRawBufferPointer(buffer), from: entries[index], at: offset)
    }
    return result
  }
}

/// Writes a checkpoint file tensor by tensor, so that nothing is copied and what arrives in pieces need not be held.
///
/// The file appears when `finish` returns, whole and on the disk; an object that is released before leaves nothing.
package final class CheckpointWriter<Element: TensorElement> {
  private var record: CheckpointRecord
  private let tensors: [TensorDescription]
  private let file: AtomicFileWriter
  private let headerLength: Int
  private var hash = CheckpointHash()
  /// The tensor that comes next, and elements of the present one that are due.
  private var next = 0
  private var due = 0

  /// Readable by its owner only.
  ///
  /// - Parameters:
  ///   - record: its `frozenHash` must not be nil where `finish` states one.
  ///   - tensors: what is appended, in this order.
  /// - Throws: `.checkpoint(.negativeStep)`, `.reservedName`; `.system` when the file cannot be made.
  package init(
    to path: String, record: CheckpointRecord, tensors: [TensorDescription]
  ) throws(FileError) {
    guard record.step >= 0 else { throw .checkpoint(path: path, .negativeStep) }
    let parameters = record.content == .state ? tensors.filter { !$0.isOptimizerState } : tensors
    for tensor in parameters where CheckpointFormat.isReserved(tensor.name) {
      throw .checkpoint(path: path, .reservedName(tensor.name))
    }
    self.record = record
    self.tensors = tensors
    let header = try Self.header(path, tensors, record, hash: CheckpointHash.placeholder)
    headerLength = header.count
    file = try AtomicFileWriter(path: path)
    try file.write(header)
  }

  /// The next elements, of one tensor or of several: how they are cut does not matter.
  ///
  /// - Throws: `.checkpoint(.otherSize)` for more than the tensors have; `.system`, of kind `.exhausted` on a full disk.
  package func append(_ elements: UnsafeBufferPointer<Element>) throws(FileError) {
    var rest = elements[...]
    while !rest.isEmpty {
      while due == 0 {
        guard next < tensors.count else { throw .checkpoint(path: file.path, .otherSize) }
        hash.begin(tensors[next])
        due = tensors[next].shape.reduce(1, *)
        next += 1
      }
      let piece = rest.prefix(due)
      let bytes = UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: piece))
      hash.update(bytes)
      try file.write(bytes)
      due -= piece.count
      rest = rest.dropFirst(piece.count)
    }
  }

  package func append(_ tensor: Tensor<Element>) throws(FileError) {
    try tensor.withUnsafeBufferPointer { (elements) throws(FileError) in try append(elements) }
  }

  /// Publishes the file; returns its content hash.
  ///
  /// - Parameter frozenHash: replaces that of the record, where one became known only now.
  /// - Throws: `.checkpoint(.otherSize)` when tensors are missing; `.system`.
  @discardableResult
  package func finish(frozenHash: String? = nil) throws(FileError) -> String {
    guard due == 0, next == tensors.count else { throw .checkpoint(path: file.path, .otherSize) }
    record.frozenHash = frozenHash ?? record.frozenHash
    let text = hash.text(record.metadata)
    let header = try Self.header(file.path, tensors, record, hash: text)
    guard header.count == headerLength else { throw .checkpoint(path: file.path, .otherSize) }
    try file.overwrite(header, at: 0)
    try file.publish()
    return text
  }

  private static func header(
    _ path: String, _ tensors: [TensorDescription], _ record: CheckpointRecord, hash: String
  ) throws(FileError) -> [UInt8] {
    var metadata = record.metadata
    metadata[CheckpointFormat.hashKey] = hash
    let entries = tensors.map { tensor in
      SafetensorsTensor(
        name: tensor.name, type: SafetensorsType(Element.elementType), shape: tensor.shape
      ) { (_) throws(FileError) in }
    }
    do throws(SafetensorsProblem) {
      return try SafetensorsFile.encodedHeader(entries, metadata)
    } catch {
      throw .safetensors(path: path, error)
    }
  }
}

extension TensorDescription {
  var isOptimizerState: Bool { name.hasPrefix(CheckpointFormat.optimizerPrefix) }
}
