import Architecture
import Tensors
import Wire

/// Moves a model's masked weights in chunks, a few under way at a time.
struct WeightTransfer<Element: FloatingElement> {
  private static var window: Int { 4 }

  let connection: TrainerConnection<Element>
  /// Of the whole model.
  let specifications: [ParameterSpecification]

  /// Sends every parameter; returns when the trainer has made them durable.
  ///
  /// - Parameter masked: makes parameter number i; asked for one at a time, so that no second copy of a large model exists.
  func upload(_ masked: (Int) throws -> Tensor<Element>, progress: (Int, Int) -> Void) throws {
    let chunks = ParameterChunks(specifications, elementBytes: MemoryLayout<Element>.size)
    var acknowledged = 0
    var present: (parameter: Int, values: Tensor<Element>)?
    for chunk in 0..<chunks.count {
      let parameter = chunks.chunks[chunk].parameter
      let values = try present.flatMap { $0.parameter == parameter ? $0.values : nil } ?? masked(parameter)
      present = (parameter, values)
      while chunk - acknowledged >= Self.window { acknowledged = try awaitStored() }
      try connection.send(.parameters(chunk: chunk, values: chunks.extract(chunk, of: values)))
      progress(chunk + 1, chunks.count)
    }
    while acknowledged < chunks.count { acknowledged = try awaitStored() }
  }

  /// Fetches a finished job's trained weights, in the order of the model's trained parameters.
  func download(progress: (Int, Int) -> Void) throws -> [Tensor<Element>] {
    let specifications = specifications.filter(\.isTrained)
    let chunks = ParameterChunks(specifications, elementBytes: MemoryLayout<Element>.size)
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
