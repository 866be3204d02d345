import Architecture
import Checkpoints
import Tensors
import Wire

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
