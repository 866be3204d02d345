import Architecture
import Tensors
import Wire

/// Moves a model's masked weights in chunks, a few under way at a time.
struct WeightTransfer<Element: FloatingElement> {
  private static var window: Int { 4 }

  let connection: TrainerConnection<Element>
  let specifications: [ParameterSpecification]

  private var chunks: ParameterChunks {
    ParameterChunks(specifications, elementBytes: MemoryLayout<Element>.size)
  }

  /// Sends all of `parameters`; returns when the trainer has made them durable.
  func upload(_ parameters: [Tensor<Element>], progress: (Int, Int) -> Void) throws {
    let chunks = chunks
    var acknowledged = 0
    for chunk in 0..<chunks.count {
      while chunk - acknowledged >= Self.window { acknowledged = try awaitStored() }
      try connection.send(.parameters(chunk: chunk, values: chunks.extract(chunk, from: parameters)))
      progress(chunk + 1, chunks.count)
    }
    while acknowledged < chunks.count { acknowledged = try awaitStored() }
  }

  /// Fetches a finished job's weights.
  func download(progress: (Int, Int) -> Void) throws -> [Tensor<Element>] {
    let chunks = chunks
    var parameters = specifications.map { Tensor<Element>(uninitialized: $0.shape) }
    var asked = 0
    for expected in 0..<chunks.count {
      while asked < chunks.count, asked - expected < Self.window {
        try connection.send(.retrieve(chunk: asked))
        asked += 1
      }
      let values: Tensor<Element> = try connection.waitFor { message in
        guard case .parameters(let chunk, let values) = message else { return nil }
        guard chunk == expected else {
          throw OwnerError.protocolViolation("weight chunk \(chunk) where \(expected) is due")
        }
        return values
      }
      guard values.allFinite else { throw OwnerError.protocolViolation("returned weights that are not finite") }
      try chunks.place(values, number: expected, into: &parameters)
      progress(expected + 1, chunks.count)
    }
    return parameters
  }

  private func awaitStored() throws -> Int {
    try connection.waitFor { message in
      if case .stored(let count) = message { return count }
      return nil
    }
  }
}
