import Foundation
import Testing
import TestSupport

@testable import Datasets

@Suite struct InspectionTests {
  let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
  }

  private func inspection(_ build: (FixtureFile) throws -> Void) throws -> FileInspection {
    let fixture = try FixtureFile(directory.file("data.h5"))
    try build(fixture)
    fixture.close()
    return try HDF5File(path: fixture.path).inspect()
  }

  @Test func datasetsWithTheirTypesChunksFiltersAndMissingValues() throws {
    let found = try inspection {
      try $0.numbers(
        "labels", .float(bytes: 4), shape: [3, 2], [0, .nan, 1, 1, .nan, .nan], chunk: [2, 2],
        filters: [.shuffle, .gzip])
      try $0.attribute("labels", "tasks", texts: ["AR", "ER"])
      try $0.attribute("labels", "version", integers: [3])
      try $0.integers("group/ids", .integer(bytes: 2, signed: false, bigEndian: true), values: [1])
      try $0.attribute("/", "title", text: "A file")
    }
    #expect(found.attributes == ["title": "A file"])
    #expect(found.datasets.map(\.path) == ["group/ids", "labels"])
    let labels = try #require(found.datasets.last)
    #expect(labels.shape == [3, 2] && labels.type == "float32" && labels.chunks == [2, 2])
    #expect(labels.filters == ["shuffle (2)", "gzip (1)"])
    #expect(labels.missing == 3 && labels.refusal == nil && labels.inflationsPerChunk == 1)
    #expect(labels.attributes == ["tasks": "AR, ER", "version": "3"])
    let ids = try #require(found.datasets.first)
    #expect(ids.type == "uint16 big-endian" && ids.chunks == nil && ids.missing == nil && ids.layout == "contiguous")
  }

  @Test func whatIsRefusedIsListedWithTheReason() throws {
    let found = try inspection {
      try $0.externalLink("away", file: "other.h5", object: "/X")
      try $0.softLink("dangling", to: "/nowhere")
      try $0.empty("packed", .float(bytes: 4), shape: [4, 4], chunk: [2, 4], filters: [.plugin(32000)])
      try $0.empty("virtual", .float(bytes: 4), shape: [2, 2]) {
        H5Fixture.makeVirtual($0)
      }
    }
    #expect(found.refusedObjects.map(\.path) == ["away", "dangling"])
    #expect(found.refusedObjects.first?.problem.contains("other.h5") == true)
    #expect(found.datasets.map(\.path) == ["packed", "virtual"])
    #expect(found.datasets.first?.filters == ["LZF (32000)"])
    #expect(found.datasets.first?.refusal?.contains("LZF") == true)
    #expect(found.datasets.last?.shape == nil && found.datasets.last?.refusal?.contains("virtual") == true)
  }

  @Test func matricesCategoriesAndFields() throws {
    let found = try inspection {
      try $0.group("X")
      try $0.attribute("X", "encoding-type", text: "csr_matrix")
      try $0.attribute("X", "shape", integers: [2, 9])
      try $0.integers("X/indptr", values: [0, 1, 2])
      try $0.integers("X/indices", values: [0, 1])
      try $0.numbers("X/data", .float(bytes: 4), shape: [2], [1, 2])
      try $0.integers("kind/codes", .integer(bytes: 1), values: [0, 1])
      try $0.strings("kind/categories", .variableString(), ["a", "b", "c"])
      try $0.compound(
        "obs",
        [
          .init(name: "score", type: .float(bytes: 4), rows: [bytes(Float.nan), bytes(Float(1))]),
          .init(name: "cell", type: .integer(bytes: 1), rows: [[0], [1]]),
        ])
      try $0.strings("uns/cell_categories", .fixedString(bytes: 2), ["a", "b"])
    }
    #expect(
      found.groups == [
        GroupInspection(path: "X", role: .compressedSparseRows, shape: [2, 9], storedEntries: 2, categoryCount: nil),
        GroupInspection(path: "kind", role: .categories, shape: nil, storedEntries: nil, categoryCount: 3),
      ])
    let obs = try #require(found.datasets.first { $0.path == "obs" })
    #expect(
      obs.fields == [
        .init(name: "score", type: "float32", missing: 1, categories: nil),
        .init(name: "cell", type: "int8", missing: nil, categories: "uns/cell_categories"),
      ])
  }

  @Test func groupsThatContainThemselvesEnd() throws {
    let found = try inspection {
      try $0.integers("group/ids", values: [1])
      try $0.hardLink("group/again", to: "/group")
    }
    #expect(found.datasets.map(\.path) == ["group/ids"])
  }

  @Test func aDamagedChunkIsARefusalNotAnError() throws {
    let fixture = try FixtureFile(directory.file("damaged.h5"))
    try fixture.numbers(
      "X", .float(bytes: 4), shape: [8, 4], (0..<32).map(Double.init), chunk: [4, 4], filters: [.fletcher32])
    let chunk = try fixture.chunkAddress("X", row: 4)
    fixture.close()
    var data = try Data(contentsOf: URL(fileURLWithPath: fixture.path))
    data[chunk.offset] ^= 1
    try data.write(to: URL(fileURLWithPath: fixture.path))
    let found = try HDF5File(path: fixture.path).inspect()
    #expect(found.datasets.first?.refusal?.contains("rows 4–7") == true)
  }

  @Test func jsonKeepsEverything() throws {
    let found = try inspection { try $0.numbers("X", .float(bytes: 4), shape: [1, 1], [.nan]) }
    let data = try JSONEncoder().encode(found)
    #expect(try JSONDecoder().decode(FileInspection.self, from: data) == found)
  }
}
