import Foundation
import TestSupport
import Testing

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

/// What reading costs in inflated chunks, counted exactly.
@Suite struct ChunkReadingTests {
  let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
  }

  /// Writes a gzip-chunked matrix, reads it as `read` does, and returns how often each chunk was read from the file.
  private func inflations(
    _ type: FixtureType = .integer(bytes: 1, signed: false), shape: [Int], chunk: [Int],
    read: (any FeatureSource) throws -> Void
  ) throws -> [Int] {
    let fixture = try FixtureFile(directory.file("data.h5"))
    let values = (0..<(shape[0] * shape[1])).map { Double($0 * 7919 % 256) }
    try fixture.numbers("X", type, shape: shape, values, chunk: chunk, filters: [.shuffle, .gzip])
    var addresses: [Int] = []
    for row in stride(from: 0, to: shape[0], by: chunk[0]) {
      for column in stride(from: 0, to: shape[1], by: chunk[1]) {
        addresses.append(try fixture.chunkAddress("X", row: row, column: column).offset)
      }
    }
    fixture.close()
    let log = ReadLog(path: directory.file("reads.log"))
    do {
      let source = try log.open(fixture.path).openFeatures(path: "X")
      try read(source)
    }
    let reads = try log.addresses()
    return addresses.map { address in reads.count { $0 == address } }
  }

  @Test(arguments: [[256, 64], [256, 16], [100, 64], [2048, 8], [1, 64]])
  func readingByPreferredBlocksInflatesEachChunkOnce(chunk: [Int]) throws {
    let counts = try inflations(shape: [2048, 64], chunk: chunk) { source in
      #expect(source.inflationsPerChunk == 1)
      _ = try source.allValues()
    }
    #expect(counts.allSatisfy { $0 == 1 })
  }

  @Test(arguments: [1, 37, 300])
  func readingByAscendingBlocksOfAnySizeInflatesEachChunkOnce(block: Int) throws {
    let counts = try inflations(shape: [2048, 64], chunk: [256, 16]) { _ = try $0.allValues(block: block) }
    #expect(counts.allSatisfy { $0 == 1 })
  }

  @Test func aBandBeyondLibhdf5sOwnCacheIsKeptBetweenBlocks() throws {
    // A band of 8 chunks is 2 MB, twice what libhdf5 keeps by itself, and read in 11 blocks.
    let counts = try inflations(.float(bytes: 8), shape: [2048, 256], chunk: [1024, 32]) {
      _ = try $0.allValues(block: 100)
    }
    #expect(counts.count == 16 && counts.allSatisfy { $0 == 1 })
  }

  @Test func readingShuffledRowsInflatesAChunkForEveryRow() throws {
    // 16 chunks of 256 KB; libhdf5 keeps 4 of them (1 MB).
    let shape = [4096, 128]
    let chunk = [256, 128]
    let sequential = try inflations(.float(bytes: 8), shape: shape, chunk: chunk) { _ = try $0.allValues() }
    #expect(sequential.reduce(0, +) == 16)

    // 773 rows further is three chunks further: all 16 chunks come by before one comes again.
    let shuffledRows = 512
    let shuffled = try inflations(.float(bytes: 8), shape: shape, chunk: chunk) { source in
      for step in 0..<shuffledRows {
        let row = step * 773 % shape[0]
        _ = try source.values(row..<(row + 1))
      }
    }
    // One inflation a row, not one a chunk of 256 rows: why training never reads rows this way.
    #expect(shuffled.reduce(0, +) == shuffledRows)
  }

  @Test func blocksAreWholeChunksWithinTheLimit() throws {
    let location = DataLocation(file: "f", object: "X")
    func plan(_ shape: [Int], _ chunk: [Int]) throws -> ChunkPlan {
      let fixture = try FixtureFile(directory.file("plan.h5"))
      try fixture.empty("X", .float(bytes: 4), shape: shape, chunk: chunk, filters: [.gzip])
      fixture.close()
      guard case .dataset(let dataset) = try HDF5File(path: fixture.path).resolve("X") else {
        throw DatasetError(.defect, location, "no dataset")
      }
      return try ChunkPlan(
        shape: shape, columns: shape[1], elementBytes: 4, layout: dataset.layout, location: location)
    }
    // 8 MB are 1,024 rows of 2,048 floats: four chunks of 256.
    #expect(try plan([8006, 2048], [256, 2048]).rowBlock == 1024)
    // 2,741 rows of 765 floats: 62 chunks of 44.
    #expect(try plan([700_000, 765], [44, 96]).rowBlock == 62 * 44)
    // A band of 16 MB stays in the cache while its 4,096 rows are read in two blocks.
    let tall = try plan([100_000, 1024], [4096, 64])
    #expect(tall.rowBlock == 2048 && tall.inflationsPerChunk == 1)
    #expect(try #require(tall.cache).bytes == 32 << 20)
    // A band of 400 MB exceeds the cache: blocks of 32 MB, 8,388 rows of 1,000 floats, and 12 inflations for 100,000 rows.
    let columns = try plan([100_000, 1000], [100_000, 1])
    #expect(columns.rowBlock == 8388 && columns.inflationsPerChunk == 12)
  }
}
