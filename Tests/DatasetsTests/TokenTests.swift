import Foundation
import Foundations
import TestSupport
import Testing

@testable import Datasets

@Suite struct TokenSourceTests {
  let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
  }

  private static let limits = TokenLimits(vocabulary: 100, types: 2, positions: 4, requiresTrailingPadding: false)

  private var fixture: HDF5Fixture { HDF5Fixture(directory: directory) }

  /// Three rows of four columns with 3, 1 and 2 tokens; what stands in padding would be refused anywhere else.
  private func small(_ build: (FixtureFile) throws -> Void = { _ in }) throws -> HDF5File {
    try fixture {
      try $0.integers(
        "ids", .integer(bytes: 4), shape: [3, 4], values: [5, 6, 7, -1, 99, 500, 0, 0, 0, 8, 0, 9])
      try $0.integers(
        "mask", .integer(bytes: 1), shape: [3, 4], values: [1, 1, 1, 0, 1, 0, 0, 0, 0, 1, 0, 1])
      try $0.integers(
        "types", .integer(bytes: 2), shape: [3, 4], values: [0, 1, 1, 7, 0, 0, 0, 0, -1, 1, 0, 0])
      try build($0)
    }
  }

  private func open(
    _ file: HDF5File, ids: String = "ids", mask: String? = "mask", types: String? = nil,
    limits: TokenLimits = TokenSourceTests.limits
  ) throws -> TokenSource {
    try file.openTokens(ids: ids, mask: mask, types: types, limits: limits)
  }

  @Test func paddingIsLeftOut() throws {
    let source = try open(small(), types: "types")
    #expect(source.rows == 3)
    #expect(source.columns == 4)
    let rows = try source.read(rows: 0..<3)
    #expect(
      rows
        == TokenRows(
          ids: [5, 6, 7, 99, 8, 9], positions: [0, 1, 2, 0, 1, 3], types: [0, 1, 1, 0, 1, 0], offsets: [0, 3, 4, 6],
          padding: [-1, 500]))
    #expect(rows.rows == 3)
    #expect(rows.tokens == 6)
    #expect(rows[row: 2] == 4..<6)
  }

  @Test func anyRowsMayBeRead() throws {
    let source = try open(small(), types: "types")
    #expect(
      try source.read(rows: 2..<3)
        == TokenRows(ids: [8, 9], positions: [1, 3], types: [1, 0], offsets: [0, 2], padding: [0]))
    #expect(try source.read(rows: 1..<1) == TokenRows(ids: [], positions: [], types: [], offsets: [0]))
    #expect(
      try source.read(rows: 1..<3)
        == TokenRows(
          ids: [99, 8, 9], positions: [0, 1, 3], types: [0, 1, 0], offsets: [0, 1, 3], padding: [500, 0]))
  }

  @Test func withoutAMaskEveryTokenCounts() throws {
    let file = try fixture { try $0.integers("ids", shape: [2, 2], values: [1, 2, 3, 0]) }
    let source = try open(file, mask: nil)
    #expect(
      try source.read(rows: 0..<2)
        == TokenRows(ids: [1, 2, 3, 0], positions: [0, 1, 0, 1], types: [0, 0, 0, 0], offsets: [0, 2, 4]))
    #expect(try source.readLengths() == [2, 2])
  }

  /// As `create_position_ids_from_input_ids` of the transformers library, less the padding id: it looks at ids alone, also where the mask
  /// leaves them out.
  @Test func positionsWithoutAToken() throws {
    let file = try fixture {
      try $0.integers(
        "ids", .integer(bytes: 4), shape: [3, 4], values: [5, 1, 7, 1, 1, 1, 8, 9, 3, 4, 5, 6])
      try $0.integers(
        "mask", .integer(bytes: 1), shape: [3, 4], values: [1, 1, 1, 0, 0, 0, 1, 1, 0, 1, 0, 1])
      try $0.integers("tags", .integer(bytes: 4), shape: [3, 4], values: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    }
    let source = try open(
      file,
      limits: TokenLimits(
        vocabulary: 100, types: 2, positions: 4, requiresTrailingPadding: false, uncountedToken: 1))
    let rows = try source.read(rows: 0..<3)
    #expect(rows.ids == [5, 1, 7, 8, 9, 4, 6])
    #expect(rows.columns == [0, 1, 2, 2, 3, 1, 3])
    #expect(rows.positions == [1, 0, 2, 1, 2, 2, 4])
    // Labels stand in columns, however positions are counted.
    let labels = try file.openTokenLabels(path: "tags", tokens: source, classes: 12)
    #expect(try labels.read(rows: 0..<3, of: rows) == [0, 1, 2, 6, 7, 9, 11])
  }

  @Test func lengthsOfAllRows() throws {
    #expect(try open(small()).readLengths() == [3, 1, 2])
  }

  @Test(arguments: [
    FixtureType.integer(bytes: 1, signed: false), .integer(bytes: 2, bigEndian: true),
    .integer(bytes: 4, signed: false),
    .integer(bytes: 8), .integer(bytes: 8, signed: false, bigEndian: true),
  ])
  func integersOfEveryWidth(type: FixtureType) throws {
    let file = try fixture { try $0.integers("ids", type, shape: [1, 3], values: [1, 99, 0]) }
    #expect(try open(file, mask: nil).read(rows: 0..<1).ids == [1, 99, 0])
  }

  @Test func aMaskOfBooleans() throws {
    let file = try small {
      try $0.integers("flags", .boolean, shape: [3, 4], values: [1, 1, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1])
    }
    let source = try open(file, ids: "types", mask: "flags")
    #expect(try source.readLengths() == [2, 1, 4])
  }

  /// Blocks of different sizes over chunks that no block matches give the same tokens.
  @Test func blocksThatCrossChunks() throws {
    let rows = 53
    let file = try fixture {
      try $0.integers(
        "ids", .integer(bytes: 2), shape: [rows, 3], values: (0..<rows * 3).map { Int64($0 % 100) }, chunk: [7, 2],
        filters: [.gzip])
      try $0.integers(
        "mask", .integer(bytes: 1), shape: [rows, 3], values: (0..<rows * 3).map { $0 % 3 == 0 || $0 % 5 == 0 ? 1 : 0 },
        chunk: [11, 3], filters: [.shuffle, .gzip])
    }
    let source = try open(file)
    #expect(source.preferredRowBlock == rows)
    #expect(source.inflationsPerChunk == 1)
    let whole = try source.read(rows: 0..<rows)
    for block in [1, 5, 7, 20] {
      var ids: [Int32] = []
      var lengths: [Int32] = []
      for start in stride(from: 0, to: rows, by: block) {
        let part = try source.read(rows: start..<min(start + block, rows))
        ids += part.ids
        lengths += (0..<part.rows).map { Int32(part[row: $0].count) }
      }
      #expect(ids == whole.ids)
      #expect(try lengths == source.readLengths())
    }
  }

  // MARK: Refusals

  private func expectRefusal(
    _ reason: DatasetError.Reason, _ words: String, rows: Range<Int> = 0..<3,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ source: () throws -> TokenSource
  ) throws {
    let error = try expectError(reason, sourceLocation: sourceLocation) { _ = try source().read(rows: rows) }
    #expect(error.description.contains(words), "\(error)", sourceLocation: sourceLocation)
    #expect(error.kind == .inputData, sourceLocation: sourceLocation)
  }

  @Test func aTokenIdOutsideOfTheVocabulary() throws {
    let limits = TokenLimits(vocabulary: 99, types: 0, positions: 4, requiresTrailingPadding: false)
    try expectRefusal(.invalidTokens, "'ids': row 1, column 0 ", rows: 1..<3) { try open(small(), limits: limits) }
    try expectRefusal(.invalidTokens, "'ids': row 0, column 3 ", rows: 0..<1) { try open(small(), mask: nil) }
  }

  /// Wider than the 32 bits that ids are read in.
  @Test(arguments: [Int64.max, Int64(Int32.max) + 1, 1 << 32, .min, -(1 << 32)])
  func aTokenIdBeyond32Bits(id: Int64) throws {
    let file = try fixture { try $0.integers("ids", shape: [1, 2], values: [1, id]) }
    let limits = TokenLimits(
      vocabulary: Int(Int32.max), types: 0, positions: 2, requiresTrailingPadding: false)
    try expectRefusal(.invalidTokens, "row 0, column 1 ", rows: 0..<1) { try open(file, mask: nil, limits: limits) }
  }

  @Test func aTokenTypeOutsideOfTheModels() throws {
    let limits = TokenLimits(vocabulary: 100, types: 1, positions: 4, requiresTrailingPadding: false)
    try expectRefusal(.invalidTypes, "'types': row 0, column 1 ") { try open(small(), types: "types", limits: limits) }
    let negative = try small { try $0.integers("below", shape: [3, 4], values: [Int64](repeating: -1, count: 12)) }
    try expectRefusal(.invalidTypes, "'below': row 0, column 0 ") { try open(negative, types: "below") }
  }

  @Test func tokenTypesForAModelWithoutTypes() throws {
    let limits = TokenLimits(vocabulary: 100, types: 0, positions: 4, requiresTrailingPadding: false)
    try expectRefusal(.invalidTypes, "no token types") { try open(small(), types: "types", limits: limits) }
  }

  @Test(arguments: [2, -1])
  func aMaskOfOtherNumbers(number: Int64) throws {
    let file = try small {
      try $0.integers("other", shape: [3, 4], values: [1, 1, 1, 1, 1, number, 1, 1, 1, 1, 1, 1])
    }
    try expectRefusal(.invalidMask, "'other': row 1, column 1 ") { try open(file, mask: "other") }
    try expectError(.invalidMask) { _ = try open(file, mask: "other").readLengths() }
  }

  @Test func aRowOfPaddingAlone() throws {
    let file = try small { try $0.integers("none", shape: [3, 4], values: [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]) }
    try expectRefusal(.emptySequence, "'none': row 2 ") { try open(file, mask: "none") }
    try expectError(.emptySequence) { _ = try open(file, mask: "none").readLengths() }
  }

  @Test func aSequenceLongerThanThePositions() throws {
    let limits = TokenLimits(vocabulary: 100, types: 0, positions: 3, requiresTrailingPadding: false)
    // Row 0 ends at column 2, row 2 at column 3.
    #expect(try open(small(), limits: limits).read(rows: 0..<2).tokens == 4)
    try expectRefusal(.sequenceTooLong, "'mask': row 2 has tokens beyond column 2") {
      try open(small(), limits: limits)
    }
    try expectRefusal(.sequenceTooLong, "'ids': row 0 ") { try open(small(), mask: nil, limits: limits) }
    try expectError(.sequenceTooLong) { _ = try open(small(), mask: nil, limits: limits).readLengths() }
  }

  @Test func paddingBeforeATokenOfADecoder() throws {
    let limits = TokenLimits(vocabulary: 100, types: 0, positions: 4, requiresTrailingPadding: true)
    #expect(try open(small(), limits: limits).read(rows: 0..<2).tokens == 4)
    try expectRefusal(.misplacedPadding, "'mask': row 2, column 0 ") { try open(small(), limits: limits) }
  }

  /// What a head that reads the first column would take for the first token.
  @Test func paddingBeforeTheTokenThatIsPooled() throws {
    let limits = TokenLimits(
      vocabulary: 100, types: 0, positions: 4, requiresTrailingPadding: false, requiresFirstToken: true)
    #expect(try open(small(), limits: limits).read(rows: 0..<2).tokens == 4)
    try expectRefusal(.misplacedPadding, "'mask': row 2, column 0 is padding, and") {
      try open(small(), limits: limits)
    }
  }

  @Test func aMaskOrTypesOfAnotherShape() throws {
    for shape in [[4, 3], [3, 5], [2, 4]] {
      let file = try small {
        try $0.integers("other", shape: shape, values: [Int64](repeating: 1, count: shape.reduce(1, *)))
      }
      try expectRefusal(.shapeMismatch, "'other': its shape is \(shape)") { try open(file, mask: "other") }
      try expectRefusal(.shapeMismatch, "'other': its shape is \(shape)") { try open(file, types: "other") }
    }
  }

  @Test func tokensThatAreNotIntegers() throws {
    let file = try fixture {
      try $0.numbers("floats", .float(bytes: 4), shape: [1, 2], [1, 2])
      try $0.strings("strings", .variableString(), ["a", "b"], shape: [1, 2])
    }
    try expectRefusal(.wrongType, "'floats'") { try open(file, ids: "floats", mask: nil) }
    try expectRefusal(.wrongType, "'strings'") { try open(file, ids: "strings", mask: nil) }
  }

  @Test func tokensThatAreNotAMatrix() throws {
    let file = try fixture {
      try $0.integers("vector", values: [1, 2])
      try $0.integers("cube", shape: [1, 2, 1], values: [1, 2])
    }
    for path in ["vector", "cube"] {
      try expectRefusal(.wrongRank, "'\(path)'") { try open(file, ids: path, mask: nil) }
    }
  }

  @Test func noRowsOrNoColumns() throws {
    let file = try fixture {
      try $0.empty("rows", .integer(bytes: 8), shape: [0, 3])
      try $0.empty("columns", .integer(bytes: 8), shape: [3, 0])
    }
    for path in ["rows", "columns"] {
      try expectRefusal(.empty, "'\(path)'") { try open(file, ids: path, mask: nil) }
    }
  }

  @Test func tokensThatAreMissing() throws {
    try expectRefusal(.missingObject, "there is no 'input_ids'") { try open(small(), ids: "input_ids") }
    try expectRefusal(.missingObject, "there is no 'attention'") { try open(small(), mask: "attention") }
  }
}

@Suite struct TokenLabelTests {
  let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
  }

  /// Three rows of three columns; the tokens are columns 0 and 1 of row 0, 1 of row 1, 0–2 of row 2.
  private func labels(
    _ values: [Int64], shape: [Int] = [3, 3], classes: Int? = nil
  ) throws -> (TokenSource, TokenLabels) {
    let fixture = try FixtureFile(directory.file("data.h5"))
    try fixture.integers("ids", shape: [3, 3], values: [Int64](repeating: 1, count: 9))
    try fixture.integers("mask", shape: [3, 3], values: [1, 1, 0, 0, 1, 0, 1, 1, 1])
    try fixture.integers("labels", .integer(bytes: 8), shape: shape, values: values)
    try fixture.numbers("floats", .float(bytes: 8), shape: [3, 3], values.map(Double.init))
    fixture.close()
    let file = try HDF5File(path: fixture.path)
    let tokens = try file.openTokens(
      ids: "ids", mask: "mask", types: nil,
      limits: TokenLimits(vocabulary: 2, types: 0, positions: 3, requiresTrailingPadding: false))
    return (tokens, try file.openTokenLabels(path: "labels", tokens: tokens, classes: classes))
  }

  @Test func labelsOfTheTokensInTheirOrder() throws {
    let (tokens, labels) = try labels([3, -100, 50, 50, 0, 50, -1, 2, 1])
    #expect(labels.classes == 4)
    #expect(try labels.read(rows: 0..<3, of: tokens.read(rows: 0..<3)) == [3, -100, 0, -100, 2, 1])
    #expect(try labels.read(rows: 1..<3, of: tokens.read(rows: 1..<3)) == [0, -100, 2, 1])
  }

  @Test func classesThatAreGivenAreNotCounted() throws {
    let (_, labels) = try labels([0, 0, 0, 0, 0, 0, 0, 0, 0], classes: 7)
    #expect(labels.classes == 7)
  }

  @Test(arguments: [Int64(2), Int64(Int32.max), 1 << 32])
  func aLabelOutsideOfTheClasses(label: Int64) throws {
    let (tokens, labels) = try labels([0, 1, 0, 0, label, 0, 0, 1, 0], classes: 2)
    let error = try expectError(.invalidLabels) { _ = try labels.read(rows: 0..<3, of: tokens.read(rows: 0..<3)) }
    #expect(error.description.contains("'labels': row 1, column 1 is none of 2 classes"))
  }

  @Test func moreClassesThanCanBeTrained() throws {
    let error = try expectError(.tooManyClasses) { _ = try labels([0, 1, 0, 0, 1, 0, 0, 1 << 20, 0]) }
    #expect(error.description.contains("row 2, column 1"))
  }

  @Test func noTokenCounts() throws {
    try expectError(.invalidLabels) { _ = try labels([-100, -1, 5, 5, -100, 5, -100, -100, -100]) }
  }

  @Test func allTokensAreOfOneClass() throws {
    try expectError(.invalidLabels) { _ = try labels([0, 0, 5, 5, 0, 5, 0, -100, 0]) }
  }

  @Test func labelsOfAnotherShape() throws {
    try expectError(.shapeMismatch) { _ = try labels([Int64](repeating: 0, count: 9), shape: [9, 1]) }
  }

  @Test func labelsThatAreNotIntegers() throws {
    let (tokens, _) = try labels([0, 1, 0, 0, 1, 0, 0, 1, 0])
    let file = try HDF5File(path: directory.file("data.h5"))
    try expectError(.wrongType) { _ = try file.openTokenLabels(path: "floats", tokens: tokens, classes: nil) }
  }

  @Test func tokensOfOtherRows() throws {
    let (tokens, labels) = try labels([0, 1, 0, 0, 1, 0, 0, 1, 0])
    try expectError(.defect) { _ = try labels.read(rows: 0..<3, of: tokens.read(rows: 0..<2)) }
  }
}
