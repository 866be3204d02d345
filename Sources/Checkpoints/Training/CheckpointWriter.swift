package import Tensors

/// Writes a checkpoint file tensor by tensor, so that nothing is copied and what arrives in pieces need not be held.
///
/// The file appears when `finish` returns, whole and on the disk; an object that goes before leaves nothing.
package final class CheckpointWriter<Element: TensorElement> {
  private var record: CheckpointRecord
  private let tensors: [TensorDescription]
  private let file: PendingFile
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
  ) throws(CheckpointError) {
    guard record.step >= 0 else { throw .checkpoint(path: path, .negativeStep) }
    let parameters = record.content == .state ? tensors.filter { !$0.isOptimizerState } : tensors
    for tensor in parameters where CheckpointFormat.isReserved(tensor.name) {
      throw .checkpoint(path: path, .reservedName(tensor.name))
    }
    self.record = record
    self.tensors = tensors
    let header = try Self.header(path, tensors, record, hash: CheckpointHash.placeholder)
    headerLength = header.count
    file = try PendingFile(path: path, mode: 0o600)
    try file.append(header)
  }

  /// The next elements, of one tensor or of several: how they are cut does not matter.
  ///
  /// - Throws: `.checkpoint(.otherSize)` for more than the tensors have; `.system`, of kind `.exhausted` on a full disk.
  package func append(_ elements: UnsafeBufferPointer<Element>) throws(CheckpointError) {
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
      try file.append(bytes)
      due -= piece.count
      rest = rest.dropFirst(piece.count)
    }
  }

  package func append(_ tensor: Tensor<Element>) throws(CheckpointError) {
    try tensor.withUnsafeBufferPointer { (elements) throws(CheckpointError) in try append(elements) }
  }

  /// Publishes the file; returns its content hash.
  ///
  /// - Parameter frozenHash: replaces that of the record, where one became known only now.
  /// - Throws: `.checkpoint(.otherSize)` when tensors are missing; `.system`.
  @discardableResult
  package func finish(frozenHash: String? = nil) throws(CheckpointError) -> String {
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
  ) throws(CheckpointError) -> [UInt8] {
    var metadata = record.metadata
    metadata[CheckpointFormat.hashKey] = hash
    let entries = tensors.map { tensor in
      SafetensorsTensor(
        name: tensor.name, type: SafetensorsType(Element.elementType), shape: tensor.shape
      ) { (_) throws(CheckpointError) in }
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
