import CHDF5
import Files
import Foundation
import Foundations
import TestSupport
import Testing

@testable import Datasets

@Suite struct WriterTests {
  let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
  }

  @Test func vectorsAndMatricesComeBack() throws {
    let path = directory.file("plan.h5")
    let writer = try HDF5Writer(path: path)
    try writer.write([5, -1, 1 << 40] as [Int64], to: "split/train")
    try writer.write([] as [Int64], to: "split/validation")
    try writer.write([0.5, .nan] as [Float], to: "threshold")
    try writer.createMatrix("batches", columns: 3, of: Int64.self)
    try writer.createMatrix("predictions", columns: 2, of: Float.self)
    for epoch in 0..<40 as Range<Int64> { try writer.append([epoch, 2, -1, 7, 8, 9], to: "batches") }
    try writer.append([1, 2, 3, 4] as [Float], to: "predictions")
    try writer.append([] as [Float], to: "predictions")
    #expect(!FileManager.default.fileExists(atPath: path))
    try writer.commit()
    #expect(try directory.names == ["plan.h5"])

    let file = try HDF5File(path: path)
    #expect(try file.readIntegers(path: "split/train", rows: 3) == [5, -1, 1 << 40])
    try expectError(.empty) { _ = try file.readIntegers(path: "split/validation", rows: nil) }
    #expect(try file.openFeatures(path: "predictions").allValues() == [1, 2, 3, 4])
    let batches = try file.openFeatures(path: "batches")
    #expect(batches.rows == 80 && batches.columns == 3)
    #expect(try batches.values(78..<80) == [39, 2, -1, 7, 8, 9])
    let types = try file.inspect().datasets.map { "\($0.path): \($0.type)" }
    #expect(
      types == [
        "batches: int64", "predictions: float32", "split/train: int64", "split/validation: int64", "threshold: float32",
      ])
  }

  @Test func theSameCallsWriteTheSameBytes() throws {
    func write(_ name: String) throws -> Data {
      let writer = try HDF5Writer(path: directory.file(name))
      try writer.createMatrix("batches", columns: 2, of: Int64.self)
      for step in 0..<100 as Range<Int64> { try writer.append([step, -step], to: "batches") }
      try writer.write([1] as [Int64], to: "split/train")
      try writer.commit()
      return try Data(contentsOf: URL(fileURLWithPath: directory.file(name)))
    }
    let first = try write("first.h5")
    // Times in HDF5 files are whole seconds.
    Thread.sleep(forTimeInterval: 1.1)
    #expect(try write("second.h5") == first)
  }

  @Test func anOlderFileStaysUntilCommit() throws {
    let path = directory.file("plan.h5")
    for value in [1, 2] as [Int64] {
      let writer = try HDF5Writer(path: path)
      try writer.write([value], to: "a")
      if value == 2 { #expect(try HDF5File(path: path).readIntegers(path: "a", rows: 1) == [1]) }
      try writer.commit()
    }
    #expect(try HDF5File(path: path).readIntegers(path: "a", rows: 1) == [2])
  }

  @Test func aKilledWriterLeavesTheOlderFileAndALeftover() async throws {
    let path = directory.file("plan.h5")
    let writer = try HDF5Writer(path: path)
    try writer.write([1] as [Int64], to: "a")
    try writer.commit()
    #expect(try directory.permissions("plan.h5") == 0o600)
    await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
      let writer = try HDF5Writer(path: path)
      try writer.write([2] as [Int64], to: "a")
      kill(getpid(), SIGKILL)
    }
    #expect(try HDF5File(path: path).readIntegers(path: "a", rows: 1) == [1])
    #expect(try directory.names.count == 2)
    try AtomicFile.removeLeftovers(in: directory.path)
    #expect(try directory.names == ["plan.h5"])
  }

  @Test func anAbandonedWriterLeavesNothing() throws {
    do {
      let writer = try HDF5Writer(path: directory.file("plan.h5"))
      try writer.write([1] as [Int64], to: "a")
      #expect(try directory.names.count == 1)
    }
    #expect(try directory.names == [])
  }

  @Test func wrongUseIsADefectNotACrash() throws {
    let writer = try HDF5Writer(path: directory.file("plan.h5"))
    try writer.createMatrix("batches", columns: 2, of: Int64.self)
    try expectError(.defect) { try writer.append([1] as [Int64], to: "batches") }
    try expectError(.defect) { try writer.append([1, 2] as [Float], to: "batches") }
    try expectError(.defect) { try writer.append([1, 2] as [Int64], to: "absent") }
    try expectError(.tooLarge) { try writer.createMatrix("none", columns: 0, of: Float.self) }
    try expectError(.tooLarge) { try writer.createMatrix("wide", columns: .max, of: Float.self) }
    try writer.commit()
    try expectError(.defect) { try writer.commit() }
    try expectError(.defect) { try writer.write([1] as [Int64], to: "late") }
    #expect(try directory.names == ["plan.h5"])
  }

  @Test func aPathThatIsTakenFailsAndRemovesTheFile() throws {
    let writer = try HDF5Writer(path: directory.file("plan.h5"))
    try writer.write([1] as [Int64], to: "a")
    try expectError(.writeFailed) { try writer.write([1] as [Int64], to: "a") }
    #expect(try directory.names == [])
  }

  @Test func aDirectoryThatIsMissing() throws {
    try expectError(.writeFailed) { _ = try HDF5Writer(path: directory.file("absent/plan.h5")) }
  }

  @Test(.enabled(if: getuid() != 0, "the superuser may write everywhere"))
  func aDirectoryThatMayNotBeWritten() throws {
    #expect(chmod(directory.path, 0o500) == 0)
    defer { chmod(directory.path, 0o700) }
    let error = try expectError(.notPermitted) { _ = try HDF5Writer(path: directory.file("plan.h5")) }
    #expect(error.kind == .keyOrPermission)
  }

  /// In a process of its own, where no file may exceed 1 MB: the system then refuses writes as it does on a full disk.
  @Test func diskFull() async {
    await #expect(processExitsWith: .success) {
      signal(SIGXFSZ, SIG_IGN)
      var limit = rlimit(rlim_cur: 1 << 20, rlim_max: 1 << 20)
      guard setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0 else { exit(10) }
      let directory = try TemporaryDirectory()
      do {
        let writer = try HDF5Writer(path: directory.file("plan.h5"))
        try writer.createMatrix("batches", columns: 1024, of: Int64.self)
        var state: UInt64 = 1
        for _ in 0..<1000 {
          let row = (0..<1024).map { _ -> Int64 in
            // A linear congruential generator (Knuth): numbers that gzip does not shrink below the limit.
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int64(bitPattern: state)
          }
          try writer.append(row, to: "batches")
        }
        try writer.commit()
        exit(11)
      } catch let error as DatasetError {
        guard error.reason == .diskFull, error.kind == .exhausted else { exit(12) }
      }
      guard (try? directory.names) == [] else { exit(13) }
    }
  }

  @Test(arguments: [ENOSPC, EDQUOT, EFBIG])
  func libhdf5sMessageOfAFullDiskIsRecognised(number: Int32) {
    // As the file driver words it.
    let message =
      "file write failed: time = now, filename = 'x', file descriptor = 3, errno = \(number), error message = ''"
    #expect(ErrorStack(messages: ["unable to write", message]).isDiskFull)
    #expect(!ErrorStack(messages: ["errno = \(number)8, other"]).isDiskFull)
  }
}

/// Columns that split the rows.
@Suite struct IntegerColumnTests {
  let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
  }

  private var fixture: HDF5Fixture { HDF5Fixture(directory: directory) }

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
