import Foundations
import Testing

@testable import Datasets

/// Runs `body`, which must throw a `DatasetError` of `reason`, and returns it.
@discardableResult
func expectError(
  _ reason: DatasetError.Reason, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) throws -> DatasetError {
  let error = try #require(throws: DatasetError.self, sourceLocation: sourceLocation) { try body() }
  #expect(error.reason == reason, "\(error)", sourceLocation: sourceLocation)
  return error
}

extension FeatureSource {
  /// Some rows as an array.
  func values(_ rows: Range<Int>) throws -> [Float] {
    var result = [Float](repeating: -1, count: rows.count * columns)
    try result.withUnsafeMutableBufferPointer { try read(rows: rows, into: $0) }
    return result
  }

  /// The same in the file's own precision.
  func doubles(_ rows: Range<Int>) throws -> [Double] {
    var result = [Double](repeating: -1, count: rows.count * columns)
    try result.withUnsafeMutableBufferPointer { try read(rows: rows, into: $0) }
    return result
  }

  /// Every row, by ascending blocks.
  func allValues(block: Int? = nil) throws -> [Float] {
    var result: [Float] = []
    let block = block ?? preferredRowBlock
    for start in stride(from: 0, to: rows, by: block) { result += try values(start..<min(start + block, rows)) }
    return result
  }
}
