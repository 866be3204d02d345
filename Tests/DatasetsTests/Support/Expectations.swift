import CHDF5
import Foundation
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

/// Opens a file so that libhdf5 writes down every read from it: each inflation of a chunk begins with reading its bytes, and
/// nothing but the cache of inflated chunks saves libhdf5 from that, so reads at a chunk's address count its inflations.
struct ReadLog {
  let path: String

  func open(_ file: String) throws -> HDF5File {
    let location = DataLocation(file: file)
    let access = try HDF5File.plainAccess(location)
    // 2: H5FD_LOG_LOC_READ, a line a read.
    _ = try HDF5Library.check(.defect, location, "no log") { access.use { H5Pset_fapl_log($0, path, 2, 0) } }
    return try HDF5File(path: file, access: access)
  }

  /// The addresses that were read, in order. The file must have been closed.
  func addresses() throws -> [Int] {
    try String(contentsOf: URL(fileURLWithPath: path), encoding: .utf8).split(separator: "\n").compactMap { line in
      guard line.hasSuffix("Read"), let first = line.split(separator: "-").first else { return nil }
      return Int(first.trimmingCharacters(in: .whitespaces))
    }
  }
}
