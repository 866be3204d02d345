import Foundation
import Testing
import TestSupport

@testable import Datasets

/// AnnData's compressed sparse rows.
@Suite struct SparseFeatureTests {
  let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
  }

  enum Layout: CaseIterable, Sendable { case old, new }

  private func fixture(
    _ layout: Layout = .new, format: String = "csr", shape: [Int64] = [4, 5], indptr: [Int64] = [0, 2, 2, 3, 6],
    indices: [Int64] = [3, 0, 4, 0, 1, 2], data: [Double] = [1.5, -2, 7, 1, 2, 3], chunk: [Int]? = nil
  ) throws -> HDF5File {
    let fixture = try FixtureFile(directory.file("data.h5"))
    try fixture.group("X")
    switch layout {
    case .old:
      try fixture.attribute("X", "h5sparse_format", text: format, .fixedString(bytes: 3))
      try fixture.attribute("X", "h5sparse_shape", integers: shape)
    case .new:
      try fixture.attribute("X", "encoding-type", text: "\(format)_matrix")
      try fixture.attribute("X", "encoding-version", text: "0.1.0")
      try fixture.attribute("X", "shape", integers: shape)
    }
    try fixture.integers("X/indptr", .integer(bytes: 4), values: indptr)
    try fixture.integers("X/indices", .integer(bytes: 4), values: indices)
    try fixture.numbers(
      "X/data", .float(bytes: 4), shape: [data.count], data, chunk: chunk, filters: chunk == nil ? [] : [.gzip])
    fixture.close()
    return try HDF5File(path: fixture.path)
  }

  @Test(arguments: Layout.allCases)
  func rowsOfBothLayouts(layout: Layout) throws {
    let source = try fixture(layout, chunk: [2]).openFeatures(path: "X")
    #expect(source.rows == 4 && source.columns == 5)
    let expected: [Float] = [-2, 0, 0, 1.5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 1, 2, 3, 0, 0]
    for block in 1...4 { #expect(try source.allValues(block: block) == expected) }
  }

  @Test func sparseRowsStartAtZero() throws {
    let source = try #require(try fixture().openFeatures(path: "X") as? any SparseFeatureSource)
    #expect(
      try source.readEntries(rows: 1..<4)
        == StoredEntries(offsets: [0, 0, 1, 4], columns: [4, 0, 1, 2], values: [7, 1, 2, 3]))
    #expect(try source.readEntries(rows: 2..<2) == StoredEntries(offsets: [0], columns: [], values: []))
  }

  @Test func entriesInTheFilesOwnPrecision() throws {
    let fixture = try FixtureFile(directory.file("times.h5"))
    try fixture.group("X")
    try fixture.attribute("X", "encoding-type", text: "csr_matrix")
    try fixture.attribute("X", "shape", integers: [2, 3])
    try fixture.integers("X/indptr", .integer(bytes: 4), values: [0, 1, 2])
    try fixture.integers("X/indices", .integer(bytes: 4), values: [2, 0])
    try fixture.numbers("X/data", .float(bytes: 8), shape: [2], [1.7e9 + 0.25, 1.7e9 + 0.5])
    fixture.close()
    let source = try HDF5File(path: fixture.path).openFeatures(path: "X")
    #expect(try source.doubles(0..<2) == [0, 0, 1.7e9 + 0.25, 1.7e9 + 0.5, 0, 0])
  }

  @Test func compressedColumnsAreRefusedWithTheWayOut() throws {
    for layout in Layout.allCases {
      let file = try fixture(layout, format: "csc")
      let error = try expectError(.unsupportedLayout) { _ = try file.openFeatures(path: "X") }
      #expect(error.description.contains("tocsr"))
    }
  }

  @Test func columnOutsideNamesTheRow() throws {
    for column in [-1, 5, 1 << 30] as [Int64] {
      let source = try fixture(indices: [3, 0, column, 0, 1, 2]).openFeatures(path: "X")
      #expect(try source.values(0..<2).count == 10)
      let error = try expectError(.invalidSparseRow) { _ = try source.allValues() }
      #expect(error.description.contains("row 2 "))
    }
  }

  @Test func repeatedColumnNamesTheRow() throws {
    let source = try fixture(indices: [3, 0, 4, 0, 1, 0]).openFeatures(path: "X")
    let error = try expectError(.invalidSparseRow) { _ = try source.values(2..<4) }
    #expect(error.description.contains("row 3 holds column 0 twice"))
  }

  @Test(arguments: [[0, 3, 2, 3, 6], [0, 2, -1, 3, 6], [0, 2, 9, 3, 6]] as [[Int64]])
  func offsetsThatAreNotMonotone(indptr: [Int64]) throws {
    let source = try fixture(indptr: indptr).openFeatures(path: "X")
    try expectError(.invalidSparseRow) { _ = try source.allValues() }
    try expectError(.invalidSparseRow) { _ = try source.allValues(block: 1) }
  }

  @Test(arguments: [[1, 2, 2, 3, 6], [0, 2, 2, 3, 5], [0, 2, 2, 6]] as [[Int64]])
  func offsetsThatDoNotFitTheParts(indptr: [Int64]) throws {
    let file = try fixture(indptr: indptr)
    try expectError(.invalidSparseRow) { _ = try file.openFeatures(path: "X") }
  }

  @Test func partsOfUnequalLength() throws {
    let file = try fixture(data: [1, 2, 3])
    try expectError(.invalidSparseRow) { _ = try file.openFeatures(path: "X") }
  }

  @Test func moreEntriesThanColumns() throws {
    let source = try fixture(shape: [1, 2], indptr: [0, 6]).openFeatures(path: "X")
    try expectError(.invalidSparseRow) { _ = try source.allValues() }
  }

  @Test func notFiniteNamesRowAndColumn() throws {
    let source = try fixture(data: [1, 2, 3, 4, .nan, 6]).openFeatures(path: "X")
    let error = try expectError(.notFinite) { _ = try source.allValues() }
    #expect(error.description.contains("row 3, column 1"))
  }

  @Test func shapesThatAreNone() throws {
    for shape in [[4], [4, 5, 6], [-4, 5]] as [[Int64]] {
      let file = try fixture(shape: shape)
      try expectError(.damagedFile) { _ = try file.openFeatures(path: "X") }
    }
    for shape in [[Int64.max, 5], [4, 1 << 40]] as [[Int64]] {
      let file = try fixture(shape: shape)
      try expectError(.tooLarge) { _ = try file.openFeatures(path: "X") }
    }
    let file = try fixture(shape: [0, 5])
    try expectError(.empty) { _ = try file.openFeatures(path: "X") }
  }

  @Test func anyOtherGroupSaysWhatItHolds() throws {
    let fixture = try FixtureFile(directory.file("group.h5"))
    try fixture.integers("X/values", values: [1])
    fixture.close()
    let file = try HDF5File(path: fixture.path)
    let error = try expectError(.wrongObject) { _ = try file.openFeatures(path: "X") }
    #expect(error.description.contains("values"))
  }
}
