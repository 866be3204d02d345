import Foundation
import TestSupport
import Testing

@testable import Datasets

/// Strings of varying length whose collections are not as the file format has them: refused before libhdf5, which does not look, reads them.
@Suite struct DamagedStringTests {
  let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
  }

  /// A file of twelve class names as strings, some so long that the collections have several sizes, with bytes changed.
  ///
  /// - Parameter change: gets the file's bytes and where its first collection begins: a head of 16 bytes (`GCOL`, version, three bytes of
  ///   nothing, size), then objects of 16 bytes (number, references, four bytes of nothing, length) and their content.
  private func read(length: Int, _ change: (inout Data, Int) -> Void) throws -> LabelColumn {
    let fixture = try FixtureFile(directory.file("\(UUID().uuidString).h5"))
    let names = ["low", "high", String(repeating: "x", count: length)]
    try fixture.strings("labels", .variableString(), (0..<12).map { names[$0 % 3] })
    fixture.close()
    let url = URL(fileURLWithPath: fixture.path)
    var bytes = try Data(contentsOf: url)
    let collection = try #require(bytes.firstRange(of: Data("GCOL".utf8))).lowerBound
    change(&bytes, collection)
    try bytes.write(to: url)
    return try HDF5File(path: fixture.path).readLabels(path: "labels", as: .classes, rows: 12)
  }

  private static func write(_ value: UInt64, to bytes: inout Data, at place: Int) {
    for (index, byte) in withUnsafeBytes(of: value.littleEndian, Array.init).enumerated() {
      bytes[place + index] = byte
    }
  }

  @Test(arguments: [3, 5000, 40_000]) func wholeOnesAreRead(_ length: Int) throws {
    guard case .classes(let labels) = try read(length: length, { _, _ in }) else {
      Issue.record("no classes")
      return
    }
    #expect(labels.classCount == 3 && labels.names?.map(\.utf8.count).max() == max(4, length))
    // libhdf5 does not look at these bytes either.
    guard case .classes(let same) = try read(length: length, { $0[$1 + 6] = 9 }) else {
      Issue.record("no classes")
      return
    }
    #expect(same == labels)
  }

  @Test(arguments: [3, 5000, 40_000], [0, 8, 40, 1 << 20, 1 << 40, UInt64.max]) func sizesThatCannotBe(
    _ length: Int, _ size: UInt64
  ) throws {
    // Of the collection.
    try expectError(.damagedRows) { _ = try read(length: length) { Self.write(size, to: &$0, at: $1 + 8) } }
    // Of its first object, and of that as free space, by which libhdf5 would go on: with 0 for ever.
    try expectError(.damagedRows) {
      _ = try read(length: length) { Self.write(max(size, 1 << 19), to: &$0, at: $1 + 24) }
    }
    try expectError(.damagedRows) {
      _ = try read(length: length) {
        ($0[$1 + 16], $0[$1 + 17]) = (0, 0)
        Self.write(size == 40 ? 0 : size, to: &$0, at: $1 + 24)
      }
    }
  }
}
