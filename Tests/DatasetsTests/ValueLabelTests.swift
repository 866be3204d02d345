import Foundation
import Numerics
import Testing
import TestSupport

@testable import Datasets

/// Labels of multilabel and regression tasks.
@Suite struct ValueLabelTests {
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

  private func values(_ file: HDF5File, _ path: String, as kind: LabelKind, rows: Int) throws -> Tensor<Float> {
    guard case .values(let values) = try file.readLabels(path: path, as: kind, rows: rows) else {
      throw DatasetError(.defect, file.location, "no values")
    }
    return values
  }

  @Test func missingLabelsStayNaN() throws {
    let file = try fixture {
      try $0.numbers(
        "labels", .float(bytes: 4), shape: [3, 2], [0, 1, .nan, 1, 0, .nan], chunk: [2, 2], filters: [.gzip])
    }
    for kind in [LabelKind.binary, .real] {
      let labels = try values(file, "labels", as: kind, rows: 3)
      #expect(labels.shape == [3, 2])
      #expect(labels.elements.map(\.isNaN) == [false, false, true, false, false, true])
      #expect(labels.elements.filter { !$0.isNaN } == [0, 1, 1, 0])
    }
  }

  @Test func aVectorIsOneColumn() throws {
    let file = try fixture {
      try $0.numbers("measured", .float(bytes: 8), shape: [3], [-1.5, 2, 1000])
      try $0.integers("flags", .boolean, values: [0, 1, 1])
    }
    #expect(try values(file, "measured", as: .real, rows: 3) == Tensor([-1.5, 2, 1000], shape: [3, 1]))
    #expect(try values(file, "flags", as: .binary, rows: 3) == Tensor([0, 1, 1], shape: [3, 1]))
  }

  @Test func multilabelTakesZeroAndOneOnly() throws {
    let file = try fixture { try $0.numbers("labels", .float(bytes: 4), shape: [2, 2], [0, 1, 0.5, 1]) }
    let error = try expectError(.invalidLabels) { _ = try values(file, "labels", as: .binary, rows: 2) }
    #expect(error.description.contains("row 1, column 0"))
  }

  @Test(arguments: [Double.infinity, -.infinity, 1e300])
  func regressionTakesFiniteNumbersOnly(value: Double) throws {
    let file = try fixture { try $0.numbers("labels", .float(bytes: 8), shape: [3], [0, value, 1]) }
    let error = try expectError(.invalidLabels) { _ = try values(file, "labels", as: .real, rows: 3) }
    #expect(error.description.contains("row 1, column 0"))
  }

  @Test func everyLabelMissing() throws {
    let file = try fixture { try $0.numbers("labels", .float(bytes: 4), shape: [2], [.nan, .nan]) }
    try expectError(.invalidLabels) { _ = try values(file, "labels", as: .real, rows: 2) }
  }

  @Test func stringsAndCategoriesWhereNumbersAreDue() throws {
    let file = try fixture {
      try $0.strings("names", .variableString(), ["a", "b"])
      try $0.integers("kind/codes", .integer(bytes: 1), values: [1, 0])
      try $0.strings("kind/categories", .variableString(), ["x", "y"])
      try $0.integers("obs/old", .integer(bytes: 1), values: [1, 0])
      try $0.strings("obs/__categories/old", .variableString(), ["x", "y"])
    }
    for path in ["names", "kind", "obs/old"] {
      for kind in [LabelKind.binary, .real] {
        try expectError(.wrongType) { _ = try values(file, path, as: kind, rows: 2) }
      }
    }
  }

  @Test func wrongRank() throws {
    let file = try fixture {
      try $0.numbers("cube", .float(bytes: 4), shape: [2, 1, 1], [0, 1])
      try $0.numbers("scalar", .float(bytes: 4), shape: [], [1])
    }
    try expectError(.wrongRank) { _ = try values(file, "cube", as: .real, rows: 2) }
    try expectError(.wrongRank) { _ = try values(file, "scalar", as: .real, rows: 1) }
  }

  @Test func columnsTooLargeForMemory() throws {
    let rows = 1 << 27
    let file = try fixture { try $0.empty("labels", .float(bytes: 4), shape: [rows], chunk: [1024]) }
    try expectError(.tooLarge) { _ = try values(file, "labels", as: .real, rows: rows) }
  }

  /// A row without a value has no label, whatever fill value the file holds there.
  @Test func missingValuesOfNullableColumnsAreNaN() throws {
    let fixture = try FixtureFile(directory.file("nullable.h5"))
    try fixture.group("obs")
    try fixture.group("obs/score")
    try fixture.integers("obs/score/values", .integer(bytes: 8), values: [3, 1, 7])
    try fixture.integers("obs/score/mask", .boolean, values: [0, 1, 0])
    fixture.close()
    let labels = try HDF5File(path: fixture.path).readLabels(path: "obs/score", as: .real, rows: 3)
    guard case .values(let values) = labels else { throw DatasetError(.defect, DataLocation(file: ""), "no values") }
    #expect(values[0] == 3 && values[1].isNaN && values[2] == 7)
  }
}
