import CHDF5
import Foundation
import Foundations
import TestSupport
import Testing

@testable import Datasets

/// What is refused before a single element is read.
@Suite struct OpeningTests {
  let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
  }

  private var fixture: HDF5Fixture { HDF5Fixture(directory: directory) }

  @Test func missingFile() throws {
    let error = try expectError(.missingFile) { _ = try HDF5File(path: directory.file("absent.h5")) }
    #expect(error.kind == .inputData)
    #expect(error.description.contains("absent.h5"))
  }

  @Test func directoryInPlaceOfFile() throws {
    #expect(try expectError(.missingFile) { _ = try HDF5File(path: directory.path) }.kind == .inputData)
  }

  @Test(.enabled(if: getuid() != 0, "the superuser may read everything"))
  func permissionDenied() throws {
    let path = directory.file("private.h5")
    _ = try fixture("private.h5") { try $0.integers("a", values: [1]) }
    #expect(chmod(path, 0) == 0)
    #expect(try expectError(.notPermitted) { _ = try HDF5File(path: path) }.kind == .keyOrPermission)
  }

  @Test(arguments: [Data(), Data("rows,columns\n1,2\n".utf8), Data([0x89, 0x48, 0x44, 0x46])])
  func notHDF5(content: Data) throws {
    let path = directory.file("table.h5")
    try content.write(to: URL(fileURLWithPath: path))
    #expect(try expectError(.notHDF5) { _ = try HDF5File(path: path) }.kind == .inputData)
  }

  @Test func truncatedFile() throws {
    let path = directory.file("cut.h5")
    _ = try fixture("cut.h5") {
      try $0.numbers("X", .float(bytes: 8), shape: [100, 10], [Double](repeating: 1, count: 1000))
    }
    let whole = try Data(contentsOf: URL(fileURLWithPath: path))
    try whole.prefix(whole.count / 2).write(to: URL(fileURLWithPath: path))
    #expect(try expectError(.truncatedFile) { _ = try HDF5File(path: path) }.kind == .inputData)
  }

  @Test func everyTruncationAndManyFlippedHeadersAreErrorsNotCrashes() throws {
    let path = directory.file("cut.h5")
    _ = try fixture("cut.h5") {
      try $0.numbers(
        "group/X", .float(bytes: 4), shape: [8, 3], (0..<24).map(Double.init), chunk: [4, 3], filters: [.gzip])
    }
    let whole = try Data(contentsOf: URL(fileURLWithPath: path))
    func attempt(_ data: Data) throws {
      try data.write(to: URL(fileURLWithPath: path))
      do {
        let file = try HDF5File(path: path)
        _ = try file.inspect()
        _ = try file.openFeatures(path: "group/X").allValues()
      } catch let error as DatasetError {
        #expect(error.kind == .inputData)
      }
    }
    for length in stride(from: 0, to: whole.count, by: 61) { try attempt(whole.prefix(length)) }
    for index in stride(from: 8, to: whole.count, by: 37) {
      var damaged = whole
      damaged[index] ^= 0x41
      try attempt(damaged)
    }
  }

  @Test func missingDatasetNamesWhatIsThere() throws {
    let file = try fixture { try $0.integers("group/labels", values: [1, 2]) }
    let error = try expectError(.missingObject) { _ = try file.openFeatures(path: "group/features") }
    #expect(error.kind == .inputData)
    #expect(error.description.contains("'group/features'"))
    #expect(error.description.contains("labels"))
  }

  @Test func softLinksWithinTheFileAreFollowed() throws {
    let file = try fixture {
      try $0.numbers("a/b/X", .float(bytes: 4), shape: [2, 2], [1, 2, 3, 4])
      try $0.softLink("a/relative", to: "b/X")
      try $0.softLink("absolute", to: "/a/b")
    }
    #expect(try file.openFeatures(path: "a/relative").allValues() == [1, 2, 3, 4])
    #expect(try file.openFeatures(path: "/absolute//./X").allValues() == [1, 2, 3, 4])
  }

  @Test func circularSoftLinks() throws {
    let file = try fixture {
      try $0.softLink("one", to: "/two")
      try $0.softLink("two", to: "/one")
    }
    try expectError(.missingObject) { _ = try file.openFeatures(path: "one") }
  }

  @Test func externalLinkIsRefusedWithItsPath() throws {
    _ = try fixture("other.h5") { try $0.numbers("X", .float(bytes: 4), shape: [1, 1], [1]) }
    let file = try fixture {
      try $0.externalLink("linked", file: "other.h5", object: "/X")
      try $0.softLink("soft", to: "/linked")
    }
    for path in ["linked", "soft"] {
      let error = try expectError(.externalLink) { _ = try file.openFeatures(path: path) }
      #expect(error.description.contains("'other.h5'"))
      #expect(error.description.contains("'/X'"))
    }
  }

  @Test func userDefinedLinkIsRefused() throws {
    let kind: Int32 = 187
    try HDF5Library.locked {
      var linkClass = H5L_class_t()
      linkClass.version = 1
      linkClass.id = H5L_type_t(kind)
      linkClass.trav_func = { _, _, _, _, _, _ in -1 }
      try #require(H5Lregister(&linkClass) >= 0)
      let file = H5Fcreate(directory.file("user.h5"), 2, hdf5DefaultProperties(), hdf5DefaultProperties())
      let status = H5Lcreate_ud(
        file, "made up", H5L_type_t(kind), nil, 0, hdf5DefaultProperties(), hdf5DefaultProperties())
      H5Fclose(file)
      H5Lunregister(H5L_type_t(kind))
      try #require(status >= 0)
    }
    let file = try HDF5File(path: directory.file("user.h5"))
    try expectError(.externalLink) { _ = try file.openFeatures(path: "made up") }
  }

  @Test func externalStorageIsRefused() throws {
    try Data(repeating: 0, count: 64).write(to: URL(fileURLWithPath: directory.file("raw.bin")))
    let file = try fixture {
      try $0.empty("X", .float(bytes: 4), shape: [2, 2]) { H5Pset_external($0, "raw.bin", 0, 16) }
    }
    try expectError(.externalStorage) { _ = try file.openFeatures(path: "X") }
  }

  @Test func virtualDatasetIsRefused() throws {
    let file = try fixture {
      try $0.empty("X", .float(bytes: 4), shape: [2, 2]) { H5Fixture.makeVirtual($0) }
    }
    try expectError(.virtualDataset) { _ = try file.openFeatures(path: "X") }
  }

  @Test(arguments: [
    (32000, "LZF"), (32001, "Blosc"), (32015, "Zstandard"), (32008, "bitshuffle"), (32004, "LZ4"), (299, "299"),
  ])
  func pluginFilterIsRefusedByNameWithTheWayOut(id: Int32, name: String) throws {
    let file = try fixture {
      try $0.empty("X", .float(bytes: 4), shape: [4, 4], chunk: [2, 4], filters: [.plugin(id)])
    }
    let error = try expectError(.unsupportedFilter) { _ = try file.openFeatures(path: "X") }
    #expect(error.kind == .inputData)
    #expect(error.description.contains(name))
    #expect(error.description.contains("h5repack"))
  }

  @Test func extentsThatOverflow() throws {
    let file = try fixture {
      try $0.empty("X", .float(bytes: 4), shape: [1 << 33, 1 << 33], chunk: [16, 16])
      try $0.empty("almost", .integer(bytes: 1), shape: [1 << 31, 1 << 31], chunk: [16, 16])
      try $0.empty("wide", .integer(bytes: 1), shape: [2, 1 << 40], chunk: [1, 16])
    }
    for path in ["X", "almost", "wide"] {
      #expect(try expectError(.tooLarge) { _ = try file.openFeatures(path: path) }.kind == .inputData)
    }
  }

  @Test func elementsTooLargeToConvert() throws {
    let file = try fixture { try $0.empty("X", .array(.float(bytes: 8), [1 << 22]), shape: [2], chunk: [1]) }
    try expectError(.tooLarge) { _ = try file.openFeatures(path: "X") }
  }

  @Test func filteredChunksTooLargeForMemory() throws {
    let file = try fixture {
      try $0.empty("X", .float(bytes: 4), shape: [1 << 20, 1 << 10], chunk: [1 << 18, 1 << 9], filters: [.gzip])
    }
    try expectError(.tooLarge) { _ = try file.openFeatures(path: "X") }
  }
}

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
