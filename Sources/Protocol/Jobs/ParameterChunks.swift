package import Models
package import Numerics

/// How a model's weights are cut for the journey: whole rows, at most `largestBytes` a chunk, in parameter order. Both sides
/// compute the same list, so a chunk is named by its number.
package struct ParameterChunks: Sendable {
  package struct Chunk: Sendable, Equatable {
    /// Index of the parameter in the model's order.
    package let parameter: Int
    package let rows: Range<Int>
    /// [rows, columns] of a matrix, [rows] of a vector.
    package let shape: [Int]
  }

  package let chunks: [Chunk]

  /// - Parameter largestBytes: rows wider than this travel alone.
  package init(_ specifications: [ParameterSpecification], elementBytes: Int, largestBytes: Int = 4 << 20) {
    var chunks: [Chunk] = []
    for (index, specification) in specifications.enumerated() {
      let rows = specification.shape.first ?? 1
      let columns = specification.shape.dropFirst().reduce(1, *)
      let rowsPerChunk = max(1, largestBytes / max(1, columns * elementBytes))
      for first in stride(from: 0, to: rows, by: rowsPerChunk) {
        let range = first..<min(rows, first + rowsPerChunk)
        chunks.append(
          Chunk(parameter: index, rows: range, shape: [range.count] + specification.shape.dropFirst()))
      }
    }
    self.chunks = chunks
  }

  package var count: Int { chunks.count }

  /// The values of chunk `number` out of `parameters`.
  package func extract<Element>(_ number: Int, from parameters: [Tensor<Element>]) -> Tensor<Element> {
    extract(number, of: parameters[chunks[number].parameter])
  }

  /// The values of chunk `number` out of its parameter.
  package func extract<Element>(_ number: Int, of parameter: Tensor<Element>) -> Tensor<Element> {
    let chunk = chunks[number]
    let columns = parameter.columns
    return parameter.withUnsafeBufferPointer { elements in
      Tensor(elements[(chunk.rows.lowerBound * columns)..<(chunk.rows.upperBound * columns)], shape: chunk.shape)
    }
  }

  /// Writes a received chunk into `parameters`.
  ///
  /// - Throws: `WireError.outOfOrder` for a number that does not exist, `.misshapen` for another shape.
  package func place<Element>(
    _ values: Tensor<Element>, number: Int, into parameters: inout [Tensor<Element>]
  ) throws(WireError) {
    guard chunks.indices.contains(number) else {
      throw .outOfOrder("weight chunk \(number) of \(chunks.count)")
    }
    let chunk = chunks[number]
    guard values.shape == chunk.shape else {
      throw .misshapen("weight chunk \(number) is \(values.shape), not \(chunk.shape)")
    }
    let offset = chunk.rows.lowerBound * parameters[chunk.parameter].columns
    parameters[chunk.parameter].withUnsafeMutableBufferPointer { destination in
      values.withUnsafeBufferPointer { source in
        _ = UnsafeMutableBufferPointer(rebasing: destination[offset..<(offset + source.count)])
          .update(fromContentsOf: source)
      }
    }
  }
}
