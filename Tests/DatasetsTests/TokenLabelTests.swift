import Foundation
import Testing
import TestSupport

@testable import Datasets

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
