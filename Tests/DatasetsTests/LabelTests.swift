import Foundation
import Foundations
import Numerics
import TestSupport
import Testing

@testable import Datasets

/// Class ids from every form of label column.
@Suite struct ClassLabelTests {
  let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
  }

  private var fixture: HDF5Fixture { HDF5Fixture(directory: directory) }

  private func classes(_ file: HDF5File, _ path: String, rows: Int) throws -> ClassLabels {
    guard case .classes(let labels) = try file.readLabels(path: path, as: .classes, rows: rows) else {
      throw DatasetError(.defect, file.location, "no classes")
    }
    return labels
  }

  @Test func integersAndIntegralFloatsAreTheIds() throws {
    let file = try fixture {
      try $0.integers("integers", .integer(bytes: 2, bigEndian: true), values: [0, 2, 1, 2])
      try $0.numbers("group/floats", .float(bytes: 8), shape: [4, 1], [0, 2, 1, 2])
      try $0.integers("booleans", .boolean, values: [0, 1, 1, 0])
    }
    let expected = ClassLabels(ids: [0, 2, 1, 2], classCount: 3, names: nil)
    #expect(try classes(file, "integers", rows: 4) == expected)
    #expect(try classes(file, "group/floats", rows: 4) == expected)
    #expect(try classes(file, "booleans", rows: 4) == ClassLabels(ids: [0, 1, 1, 0], classCount: 2, names: nil))
  }

  /// AnnData's nullable columns, with and without missing values.
  private func nullable(missing row: Int? = nil) throws -> HDF5File {
    let fixture = try FixtureFile(directory.file("nullable-\(row ?? -1).h5"))
    let mask = (0..<4).map { Int64($0 == row ? 1 : 0) }
    try fixture.group("obs")
    for (name, type) in [("integer", FixtureType.integer(bytes: 8)), ("flag", .boolean)] {
      try fixture.group("obs/\(name)")
      try fixture.integers("obs/\(name)/values", type, values: [1, 0, 1, 0])
      try fixture.integers("obs/\(name)/mask", .boolean, values: mask)
    }
    try fixture.group("obs/text")
    try fixture.strings("obs/text/values", .variableString(), ["b", "a", "b", ""])
    try fixture.integers("obs/text/mask", .boolean, values: mask)
    fixture.close()
    return try HDF5File(path: fixture.path)
  }

  @Test func completeNullableColumnsAreClasses() throws {
    let file = try nullable()
    for path in ["obs/integer", "obs[integer]", "obs/flag"] {
      #expect(try classes(file, path, rows: 4) == ClassLabels(ids: [1, 0, 1, 0], classCount: 2, names: nil))
    }
    let named = ClassLabels(ids: [2, 1, 2, 0], classCount: 3, names: ["", "a", "b"])
    #expect(try classes(file, "obs/text", rows: 4) == named)
  }

  /// A fill value is no class, and no number to split by.
  @Test func missingValuesOfNullableColumnsAreNamedByRow() throws {
    let file = try nullable(missing: 3)
    for path in ["obs/integer", "obs/flag", "obs/text"] {
      let error = try expectError(.invalidLabels) { _ = try classes(file, path, rows: 4) }
      #expect(error.description.contains("row 3"))
    }
    try expectError(.invalidLabels) { _ = try file.readIntegers(path: "obs/integer", rows: 4) }
    #expect(try nullable().readIntegers(path: "obs/integer", rows: 4) == [1, 0, 1, 0])
  }

  /// The listing of a nullable column names its values, but naming them trains on what stands where there is no value.
  @Test func theValuesOfANullableColumnAreRefusedAlone() throws {
    for row in [nil, 3] {
      let file = try nullable(missing: row)
      for path in ["obs/integer/values", "obs/text/values"] {
        let error = try expectError(.wrongObject) { _ = try classes(file, path, rows: 4) }
        #expect(error.description.contains("'obs/\(path.split(separator: "/")[1])'"))
      }
      try expectError(.wrongObject) { _ = try file.readLabels(path: "obs/integer/values", as: .real, rows: 4) }
      try expectError(.wrongObject) { _ = try file.readIntegers(path: "obs/integer/values", rows: 4) }
      try expectError(.wrongObject) { _ = try file.openFeatures(path: "obs/integer/values") }
    }
  }

  @Test(arguments: [
    FixtureType.fixedString(bytes: 8), .fixedString(bytes: 8, utf8: true), .fixedString(bytes: 8, spacePadded: true),
    .variableString(), .variableString(utf8: false),
  ])
  func stringsGetIdsInByteOrder(type: FixtureType) throws {
    // é as one character and as e with an accent are different bytes; capital letters sort before small ones.
    let texts = ["b", "a", "\u{e9}", "B", "e\u{301}", "a"]
    let file = try fixture { try $0.strings("labels", type, texts) }
    let labels = try classes(file, "labels", rows: 6)
    #expect(labels.ids == [2, 1, 4, 0, 3, 1])
    #expect(labels.names?.map { Array($0.utf8) } == ["B", "a", "b", "e\u{301}", "\u{e9}"].map { Array($0.utf8) })
  }

  @Test func manyStringsOfVaryingLength() throws {
    let texts = (0..<5000).map { "class \($0 % 13)" }
    let file = try fixture { try $0.strings("labels", .variableString(), texts) }
    let labels = try classes(file, "labels", rows: 5000)
    let sorted = Set(texts).sorted()
    #expect(labels.names == sorted)
    #expect(labels.ids.map { sorted[Int($0)] } == texts)
  }

  @Test func presentCategories() throws {
    let file = try fixture {
      try $0.integers("obs/kind/codes", .integer(bytes: 1), values: [1, 0, 2, 1])
      try $0.strings("obs/kind/categories", .variableString(), ["zebra", "ape", "unused"])
      try $0.attribute("obs/kind", "encoding-type", text: "categorical")
      try $0.integers("obs/donor/codes", .integer(bytes: 1), values: [1, 0, 0, 1])
      try $0.integers("obs/donor/categories", values: [17, 4])
    }
    let expected = ClassLabels(ids: [1, 0, 2, 1], classCount: 3, names: ["zebra", "ape", "unused"])
    #expect(try classes(file, "obs/kind", rows: 4) == expected)
    #expect(try classes(file, "obs[kind]", rows: 4) == expected)
    #expect(try classes(file, "obs/donor", rows: 4).names == ["17", "4"])
  }

  @Test func olderCategoriesOfACompoundField() throws {
    let file = try fixture {
      try $0.compound(
        "obs",
        [
          .init(name: "n_genes", type: .integer(bytes: 8), rows: [3, 1, 2].map { bytes(Int64($0)) }),
          .init(name: "bulk_labels", type: .integer(bytes: 1), rows: [[1], [0], [1]]),
        ])
      try $0.strings("uns/bulk_labels_categories", .fixedString(bytes: 6), ["T cell", "B cell"])
    }
    let labels = try classes(file, "obs[bulk_labels]", rows: 3)
    #expect(labels == ClassLabels(ids: [1, 0, 1], classCount: 2, names: ["T cell", "B cell"]))
  }

  @Test func categoriesBesideTheirCodes() throws {
    let file = try fixture {
      try $0.integers("obs/kind", .integer(bytes: 1), values: [1, 0, 1])
      try $0.strings("obs/__categories/kind", .variableString(), ["x", "y"])
    }
    #expect(try classes(file, "obs/kind", rows: 3) == ClassLabels(ids: [1, 0, 1], classCount: 2, names: ["x", "y"]))
  }

  @Test func enumerationsByTheirValues() throws {
    let file = try fixture {
      try $0.integers("colour", .enumeration([("RED", 5), ("BLUE", -1), ("GREEN", 7)]), values: [5, 7, -1, 5])
      try $0.integers("unknown", .enumeration([("RED", 0), ("BLUE", 1)]), values: [0, 1, 2])
    }
    let labels = try classes(file, "colour", rows: 4)
    #expect(labels == ClassLabels(ids: [1, 2, 0, 1], classCount: 3, names: ["BLUE", "RED", "GREEN"]))
    try expectError(.invalidLabels) { _ = try classes(file, "unknown", rows: 3) }
  }

  @Test func missingCategoryNamesTheRow() throws {
    let file = try fixture {
      try $0.integers("obs/kind/codes", .integer(bytes: 1), values: [1, 0, -1, 1])
      try $0.strings("obs/kind/categories", .variableString(), ["x", "y"])
    }
    let error = try expectError(.invalidLabels) { _ = try classes(file, "obs/kind", rows: 4) }
    #expect(error.description.contains("row 2 "))
    #expect(error.kind == .inputData)
  }

  @Test func codeWithoutCategory() throws {
    let file = try fixture {
      try $0.integers("obs/kind/codes", .integer(bytes: 1), values: [1, 0, 2])
      try $0.strings("obs/kind/categories", .variableString(), ["x", "y"])
    }
    try expectError(.invalidLabels) { _ = try classes(file, "obs/kind", rows: 3) }
  }

  @Test(arguments: [Double.nan, 0.5, -1, .infinity])
  func numbersThatAreNoClassIds(value: Double) throws {
    let file = try fixture { try $0.numbers("labels", .float(bytes: 4), shape: [3], [0, 1, value]) }
    let error = try expectError(.invalidLabels) { _ = try classes(file, "labels", rows: 3) }
    #expect(error.description.contains("row 2 "))
  }

  @Test func moreClassesThanRows() throws {
    let file = try fixture {
      try $0.integers("ids", values: [0, 1, 3])
      try $0.integers("huge", .integer(bytes: 8, signed: false), values: [0, 1, .max])
      try $0.integers("coded/codes", .integer(bytes: 1), values: [0, 1, 1])
      try $0.strings("coded/categories", .variableString(), ["a", "b", "c", "d"])
    }
    try expectError(.tooManyClasses) { _ = try classes(file, "ids", rows: 3) }
    try expectError(.tooLarge) { _ = try classes(file, "huge", rows: 3) }
    try expectError(.tooManyClasses) { _ = try classes(file, "coded", rows: 3) }
  }

  @Test func oneClassOnly() throws {
    let file = try fixture { try $0.integers("labels", values: [0, 0, 0]) }
    try expectError(.invalidLabels) { _ = try classes(file, "labels", rows: 3) }
  }

  @Test func severalColumns() throws {
    let file = try fixture { try $0.integers("labels", shape: [2, 2], values: [0, 1, 1, 0]) }
    try expectError(.wrongRank) { _ = try classes(file, "labels", rows: 2) }
  }

  @Test func rowCountOtherThanTheFeatures() throws {
    let file = try fixture {
      try $0.integers("labels", values: [0, 1, 1])
      try $0.integers("obs/kind/codes", .integer(bytes: 1), values: [1, 0])
      try $0.strings("obs/kind/categories", .variableString(), ["x", "y"])
    }
    for path in ["labels", "obs/kind"] {
      let error = try expectError(.rowCountMismatch) { _ = try classes(file, path, rows: 4) }
      #expect(error.kind == .inputData)
    }
  }

  @Test func zeroRows() throws {
    let file = try fixture { try $0.empty("labels", .integer(bytes: 8), shape: [0]) }
    try expectError(.empty) { _ = try classes(file, "labels", rows: 4) }
  }

  @Test func aGroupOfNoKnownLayout() throws {
    let file = try fixture { try $0.integers("obs/kind", values: [0, 1]) }
    let error = try expectError(.wrongObject) { _ = try classes(file, "obs", rows: 2) }
    #expect(error.description.contains("kind"))
  }
}

/// Labels of multilabel and regression tasks.
@Suite struct ValueLabelTests {
  let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
  }

  private var fixture: HDF5Fixture { HDF5Fixture(directory: directory) }

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
