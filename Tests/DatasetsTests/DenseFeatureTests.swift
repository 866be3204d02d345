import Foundations
import Foundation
import Testing
import TestSupport

@testable import Datasets

/// Rows of dense matrices and of compound fields.
@Suite struct DenseFeatureTests {
  let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
  }

  private var fixture: HDF5Fixture { HDF5Fixture(directory: directory) }

  /// Small integers, which every type here holds exactly.
  private let numbers: [Double] = [0, 1, 2, 3, 100, 5, 6, 7, 8, 9, 10, 127]

  @Test(arguments: [2, 4, 8], [false, true])
  func floatsOfEveryWidthAndOrder(bytes: Int, bigEndian: Bool) throws {
    let values = numbers.map { $0 * -0.25 }
    let file = try fixture { try $0.numbers("X", .float(bytes: bytes, bigEndian: bigEndian), shape: [4, 3], values) }
    #expect(try file.openFeatures(path: "X").allValues() == values.map { Float($0) })
  }

  @Test(arguments: [1, 2, 4, 8], [false, true])
  func integersOfEveryWidthAndOrder(bytes: Int, bigEndian: Bool) throws {
    for signed in [true, false] {
      let values = numbers.map { signed ? -$0 : $0 + 128 }
      let file = try fixture {
        try $0.numbers(
          "X", .integer(bytes: bytes, signed: signed, bigEndian: bigEndian), shape: [4, 3], values, chunk: [3, 2],
          filters: [.shuffle, .gzip])
      }
      #expect(try file.openFeatures(path: "X").allValues() == values.map { Float($0) })
    }
  }

  /// Times of today in seconds and microseconds: 32 bits hold neither, 64 bits both.
  @Test func valuesInTheFilesOwnPrecision() throws {
    let seconds = (0..<12).map { 1.7e9 + Double($0) * 0.25 }
    let microseconds = (0..<12).map { 1.7e15 + Double($0) * 3 }
    let file = try fixture {
      try $0.numbers("seconds", .float(bytes: 8), shape: [4, 3], seconds)
      try $0.numbers("microseconds", .integer(bytes: 8), shape: [4, 3], microseconds)
    }
    #expect(try file.openFeatures(path: "seconds").doubles(1..<4) == Array(seconds[3...]))
    #expect(try file.openFeatures(path: "microseconds").doubles(1..<4) == Array(microseconds[3...]))
  }

  /// What no 32-bit float holds is refused in either precision: rows are trained on in 32 bits.
  @Test(arguments: [Double.nan, .infinity, 1e39])
  func valuesThatAreNoFloatAreRefusedInEitherPrecision(_ value: Double) throws {
    let file = try fixture { try $0.numbers("X", .float(bytes: 8), shape: [2, 2], [0, 1, value, 3]) }
    let source = try file.openFeatures(path: "X")
    let error = try expectError(.notFinite) { _ = try source.doubles(0..<2) }
    #expect(error.description.contains("row 1, column 0"))
    try expectError(.notFinite) { _ = try source.values(0..<2) }
  }

  @Test func booleansAsH5pyWritesThem() throws {
    let file = try fixture { try $0.integers("X", .boolean, shape: [2, 3], values: [0, 1, 1, 0, 0, 1]) }
    #expect(try file.openFeatures(path: "X").allValues() == [0, 1, 1, 0, 0, 1])
  }

  @Test func anyRowsOfAnyChunking() throws {
    let values = (0..<(23 * 7)).map(Double.init)
    for chunk in [nil, [1, 7], [4, 7], [5, 3], [23, 7], [64, 2]] as [[Int]?] {
      let file = try fixture {
        // A chunk may exceed a fixed extent only where the extent may grow; clip it.
        let clipped = chunk.map { [min($0[0], 23), $0[1]] }
        try $0.numbers(
          "X", .float(bytes: 4), shape: [23, 7], values, chunk: clipped, filters: chunk == nil ? [] : [.gzip])
      }
      let source = try file.openFeatures(path: "X")
      #expect(source.rows == 23 && source.columns == 7)
      #expect(try source.allValues(block: 6) == values.map { Float($0) })
      #expect(try source.values(3..<4) == values[21..<28].map { Float($0) })
      #expect(try source.values(5..<5) == [])
    }
  }

  @Test func fieldsOfACompoundDataset() throws {
    let file = try fixture {
      try $0.compound(
        "obs",
        [
          .init(name: "index", type: .fixedString(bytes: 4), rows: [Array("aaaa".utf8), Array("bb\0\0".utf8)]),
          .init(name: "n_genes", type: .integer(bytes: 8), rows: [bytes(Int64(7)), bytes(Int64(9))]),
          .init(
            name: "pca", type: .array(.float(bytes: 4), [3]),
            rows: [[1, 2, 3], [4, 5, 6]].map { $0.flatMap { bytes(Float($0)) } }),
          .init(name: "kept", type: .boolean, rows: [[1], [0]]),
        ], chunk: [1])
    }
    #expect(try file.openFeatures(path: "obs[n_genes]").allValues() == [7, 9])
    #expect(try file.openFeatures(path: "obs[pca]").values(1..<2) == [4, 5, 6])
    #expect(try file.openFeatures(path: "obs[kept]").allValues() == [1, 0])
    try expectError(.wrongType) { _ = try file.openFeatures(path: "obs[index]") }
    let absent = try expectError(.missingObject) { _ = try file.openFeatures(path: "obs[absent]") }
    #expect(absent.description.contains("n_genes"))
    let whole = try expectError(.wrongType) { _ = try file.openFeatures(path: "obs") }
    #expect(whole.description.contains("obs[FIELD]"))
    let path = try expectError(.wrongObject) { _ = try file.openFeatures(path: "obs/pca") }
    #expect(path.description.contains("obs[pca]"))
  }

  @Test(arguments: [Double.nan, .infinity, -.infinity, 1e300])
  func notFiniteNamesRowAndColumn(value: Double) throws {
    var values = [Double](repeating: 1, count: 40 * 5)
    values[33 * 5 + 2] = value
    let file = try fixture { try $0.numbers("X", .float(bytes: 8), shape: [40, 5], values) }
    let source = try file.openFeatures(path: "X")
    #expect(try source.values(0..<33).count == 165)
    let error = try expectError(.notFinite) { _ = try source.values(20..<40) }
    #expect(error.description.contains("row 33, column 2"))
    #expect(error.kind == .inputData)
  }

  @Test func wrongRank() throws {
    let file = try fixture {
      try $0.numbers("vector", .float(bytes: 4), shape: [8], [Double](repeating: 1, count: 8))
      try $0.numbers("cube", .float(bytes: 4), shape: [2, 2, 2], [Double](repeating: 1, count: 8))
      try $0.numbers("scalar", .float(bytes: 4), shape: [], [1])
    }
    for path in ["vector", "cube", "scalar"] {
      try expectError(.wrongRank) { _ = try file.openFeatures(path: path) }
    }
  }

  @Test func zeroRowsOrColumns() throws {
    let file = try fixture {
      try $0.empty("rows", .float(bytes: 4), shape: [0, 4])
      try $0.empty("columns", .float(bytes: 4), shape: [4, 0])
    }
    for path in ["rows", "columns"] { try expectError(.empty) { _ = try file.openFeatures(path: path) } }
  }

  @Test func stringsWhereNumbersAreDue() throws {
    let file = try fixture {
      try $0.strings("fixed", .fixedString(bytes: 3), ["a", "b", "c", "d"], shape: [2, 2])
      try $0.strings("variable", .variableString(), ["a", "b", "c", "d"], shape: [2, 2])
      try $0.integers("colours", .enumeration([("RED", 0), ("BLUE", 1)]), shape: [2, 2], values: [0, 1, 1, 0])
    }
    for path in ["fixed", "variable", "colours"] {
      try expectError(.wrongType) { _ = try file.openFeatures(path: path) }
    }
  }

  @Test(arguments: [FixtureFile.Filter.gzip, .fletcher32])
  func damagedChunkNamesItsRows(filter: FixtureFile.Filter) throws {
    let fixture = try FixtureFile(directory.file("damaged.h5"))
    let values = (0..<(100 * 4)).map { Double($0 * 7919 % 1009) }
    try fixture.numbers("X", .float(bytes: 4), shape: [100, 4], values, chunk: [10, 4], filters: [filter])
    let chunk = try fixture.chunkAddress("X", row: 60)
    fixture.close()
    let url = URL(fileURLWithPath: fixture.path)
    var data = try Data(contentsOf: url)
    data[chunk.offset + chunk.size / 2] ^= 0xff
    try data.write(to: url)

    let source = try HDF5File(path: fixture.path).openFeatures(path: "X")
    #expect(try source.values(0..<60) == values[..<240].map { Float($0) })
    let error = try expectError(.damagedRows) { _ = try source.values(5..<100) }
    #expect(error.description.contains("'X'"))
    #expect(error.description.contains("rows 60–69"))
    #expect(error.kind == .inputData)
  }

  @Test func rowsOutsideAreADefectNotACrash() throws {
    let file = try fixture { try $0.numbers("X", .float(bytes: 4), shape: [2, 2], [1, 2, 3, 4]) }
    let source = try file.openFeatures(path: "X")
    var two = [Float](repeating: 0, count: 2)
    try expectError(.defect) { _ = try source.values(1..<3) }
    try expectError(.defect) { try two.withUnsafeMutableBufferPointer { try source.read(rows: 0..<2, into: $0) } }
  }

  @Test func threadsMayShareAFile() async throws {
    let values = (0..<(512 * 8)).map(Double.init)
    let file = try fixture {
      try $0.numbers("X", .float(bytes: 8), shape: [512, 8], values, chunk: [32, 8], filters: [.gzip])
    }
    let source = try file.openFeatures(path: "X")
    let sums = try await withThrowingTaskGroup(of: Float.self) { group in
      for part in 0..<8 {
        group.addTask { try source.values((part * 64)..<(part * 64 + 64)).reduce(0, +) }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    // 0 + 1 + … + 4095: each part stays below 2²⁴, so that 32-bit floats add it exactly.
    let total: Double = sums.reduce(0) { $0 + Double($1) }
    #expect(total == 8_386_560)
  }
}
