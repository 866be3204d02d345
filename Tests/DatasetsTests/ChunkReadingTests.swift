import Foundation
import Testing
import TestSupport

@testable import Datasets

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
