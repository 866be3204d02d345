import Foundation
import Testing
import TestSupport

@testable import Datasets

/// Columns that split the rows.
@Suite struct IntegerColumnTests {
  let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
  }

  private func fixture(_ build: (FixtureFile) throws -> Void) throws -> HDF5File {
    let fixture = try FixtureFile(directory.file("data.h5"))
    try build(fixture)
    fixture.close()
    return try HDF5File(path: fixture.path)
  }

  @Test func integersOfADatasetAndOfAField() throws {
    let file = try fixture {
      try $0.integers("abstract", .integer(bytes: 4, bigEndian: true), values: [5, -3, 5])
      try $0.compound("obs", [.init(name: "donor", type: .integer(bytes: 1), rows: [[1], [2], [3]])])
    }
    #expect(try file.readIntegers(path: "abstract", rows: 3) == [5, -3, 5])
    #expect(try file.readIntegers(path: "obs[donor]", rows: nil) == [1, 2, 3])
    try expectError(.rowCountMismatch) { _ = try file.readIntegers(path: "abstract", rows: 4) }
  }

  @Test func otherTypesAndRanks() throws {
    let file = try fixture {
      try $0.numbers("floats", .float(bytes: 4), shape: [2], [1, 2])
      try $0.strings("strings", .variableString(), ["1", "2"])
      try $0.integers("matrix", shape: [2, 2], values: [1, 2, 3, 4])
      try $0.empty("none", .integer(bytes: 8), shape: [0])
    }
    try expectError(.wrongType) { _ = try file.readIntegers(path: "floats", rows: nil) }
    try expectError(.wrongType) { _ = try file.readIntegers(path: "strings", rows: nil) }
    try expectError(.wrongRank) { _ = try file.readIntegers(path: "matrix", rows: nil) }
    try expectError(.empty) { _ = try file.readIntegers(path: "none", rows: nil) }
  }

  @Test func rowNumbers() throws {
    let file = try fixture {
      try $0.integers("good", values: [9, 0, 4])
      try $0.integers("negative", values: [9, -1])
      try $0.integers("outside", values: [9, 10])
      try $0.integers("repeated", values: [9, 0, 9])
    }
    #expect(try file.readRowNumbers(path: "good", below: 10) == [9, 0, 4])
    for (path, entry) in [("negative", 1), ("outside", 1), ("repeated", 2)] {
      let error = try expectError(.invalidRowNumbers) { _ = try file.readRowNumbers(path: path, below: 10) }
      #expect(error.description.contains("entry \(entry) "))
    }
  }
}
