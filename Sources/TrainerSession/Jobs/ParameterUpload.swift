import Architecture
import Tensors
import Wire

/// Starting weights while they arrive, chunk by chunk in order.
struct ParameterUpload<Element: FloatingElement> {
  private let chunks: ParameterChunks
  private(set) var parameters: [Tensor<Element>]
  private(set) var received = 0

  init(_ specifications: [ParameterSpecification]) {
    chunks = ParameterChunks(specifications, elementBytes: MemoryLayout<Element>.size)
    parameters = specifications.map { Tensor(uninitialized: $0.shape) }
  }

  var isComplete: Bool { received == chunks.count }

  /// - Throws: `WireError` for a chunk out of order, misshapen, or with NaN or infinity.
  mutating func place(_ values: Tensor<Element>, chunk: Int) throws(WireError) {
    guard chunk == received else { throw .outOfOrder("weight chunk \(chunk) where \(received) is due") }
    guard values.allFinite else { throw .notFinite("weight chunk \(chunk)") }
    try chunks.place(values, number: chunk, into: &parameters)
    received += 1
  }
}
