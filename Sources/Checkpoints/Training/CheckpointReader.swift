import Failures
import Foundation
package import Tensors

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
  ) throws(CheckpointError) {
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
  package func readNext(into elements: UnsafeMutableBufferPointer<Element>) throws(CheckpointError) {
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
  package func finish() throws(CheckpointError) {
    guard next == entries.count else { throw .checkpoint(path: path, .otherSize) }
    guard hash.text(file.header.metadata) == contentHash else { throw .checkpoint(path: path, .damaged) }
  }

  /// Reads the whole file once and compares its hash; keeps nothing.
  package func verify() throws(CheckpointError) {
    var hash = CheckpointHash()
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    for (tensor, entry) in zip(tensors, entries) {
      hash.begin(tensor)
      for offset in stride(from: 0, to: entry.end - entry.begin, by: buffer.count) {
        let count = min(buffer.count, entry.end - entry.begin - offset)
        let result = buffer.withUnsafeMutableBytes { raw in
          Result { () throws(CheckpointError) in
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
  package func rows(_ rows: Range<Int>, ofTensor index: Int) throws(CheckpointError) -> Tensor<Element> {
    guard tensors.indices.contains(index), rows.lowerBound >= 0, rows.upperBound <= tensors[index].shape.first ?? 1
    else {
      throw .checkpoint(path: path, .otherSize)
    }
    let rest = tensors[index].shape.dropFirst()
    var result = Tensor<Element>(uninitialized: [rows.count] + rest)
    let offset = rows.lowerBound * rest.reduce(1, *) * MemoryLayout<Element>.stride
    try result.withUnsafeMutableBufferPointer { (buffer) throws(CheckpointError) in
      try file.fill(UnsafeMutableRawBufferPointer(buffer), from: entries[index], at: offset)
    }
    return result
  }
}
