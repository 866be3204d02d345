import Models
import Files
import Numerics
import Protocol

/// Starting weights while they arrive, chunk by chunk in order, each written to its file at once: trained ones to the
/// checkpoint of step 0, frozen ones to a file of their own, and what corrections need to another.
struct ParameterUpload<Element: FloatingElement> {
  private let specifications: [ParameterSpecification]
  private let chunks: ParameterChunks
  private let corrections: CheckpointWriter<Element>?
  /// Whether a pull needs the trained weights as they were at the start, also when that checkpoint is gone.
  private let keepsStart: Bool
  private let trained: CheckpointWriter<Element>
  private let frozen: CheckpointWriter<Element>?
  private(set) var received = 0

  /// - Parameters:
  ///   - description: of the job: what is uploaded.
  ///   - specifications: of the model.
  ///   - corrections: nil for a job without.
  init(
    _ description: JobDescription, _ specifications: [ParameterSpecification], trained: CheckpointWriter<Element>,
    frozen: CheckpointWriter<Element>?, corrections: CheckpointWriter<Element>?
  ) {
    self.specifications = specifications
    chunks = ParameterChunks(description.uploads(specifications), elementBytes: MemoryLayout<Element>.size)
    keepsStart = description.correction?.proximalStrength != nil
    self.trained = trained
    self.frozen = frozen
    self.corrections = corrections
  }

  /// Takes the next chunk; the last one makes the weights durable.
  ///
  /// - Returns: whether it was the last.
  /// - Throws: `WireError` for a chunk out of order, misshapen, or with NaN or infinity; `FileError` on a full disk.
  mutating func place(_ values: Tensor<Element>, chunk number: Int) throws -> Bool {
    guard number == received, chunks.chunks.indices.contains(number) else {
      throw WireError.outOfOrder("weight chunk \(number) where \(received) of \(chunks.count) is due")
    }
    let chunk = chunks.chunks[number]
    guard values.shape == chunk.shape else {
      throw WireError.misshapen("weight chunk \(number) is \(values.shape), not \(chunk.shape)")
    }
    guard values.allFinite else { throw WireError.notFinite("weight chunk \(number)") }
    // Chunks go through each parameter in order, and so through each file's share of them.
    if chunk.parameter >= specifications.count {
      // Behind the parameters come the offsets of the trained ones, in their order.
      try corrections?.append(values)
    } else if specifications[chunk.parameter].isTrained {
      try trained.append(values)
      if keepsStart { try corrections?.append(values) }
    } else {
      try frozen?.append(values)
    }
    received += 1
    guard received == chunks.count else { return false }
    // The checkpoint's presence says that the weights are complete, so it comes last.
    try corrections?.finish()
    try trained.finish(frozenHash: try frozen?.finish())
    return true
  }
}

/// A finished job's trained weights while their owner fetches them chunk by chunk; the owner has the frozen ones. Each chunk is
/// read when it is asked for.
struct WeightRetrieval<Element: FloatingElement> {
  private let chunks: ParameterChunks
  private let file: CheckpointReader<Element>

  /// - Parameters:
  ///   - trained: the first tensors of `file`.
  ///   - file: verified.
  init(_ trained: [ParameterSpecification], file: CheckpointReader<Element>) {
    chunks = ParameterChunks(trained, elementBytes: MemoryLayout<Element>.size)
    self.file = file
  }

  func chunk(_ number: Int) throws -> Tensor<Element> {
    guard (0..<chunks.count).contains(number) else {
      throw WireError.outOfOrder("weight chunk \(number) of \(chunks.count)")
    }
    let chunk = chunks.chunks[number]
    return try file.rows(chunk.rows, ofTensor: chunk.parameter)
  }
}
