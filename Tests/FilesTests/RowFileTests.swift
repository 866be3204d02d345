import Foundations
import Foundation
import Numerics
import Testing
import TestSupport

@testable import Files

@Suite struct RowFileTests {
  /// Row r of a file of `columns` columns is r, r + 0.5, r + 1 …
  private func rows(_ numbers: some Collection<Int>, columns: Int) -> Tensor<Float> {
    Tensor(
      numbers.flatMap { row in (0..<columns).map { Float(row) + Float($0) / 2 } }, shape: [numbers.count, columns])
  }

  @Test func gatheredRowsAreTheRowsWritten() throws {
    let directory = try TemporaryDirectory()
    let file = try RowFile<Float>(scratchIn: directory.path, columns: 3, capacity: 10)
    try file.write(rows(0..<10, columns: 3), at: 0)
    let slots: [Int32] = [7, 8, 9, 0, 0, 5, 4]
    #expect(try file.gather(slots) == rows(slots.map(Int.init), columns: 3))
    #expect(try file.gather([Int]()).shape == [0, 3])
  }

  @Test func rowsGoToTheirSlots() throws {
    let directory = try TemporaryDirectory()
    let file = try RowFile<Double>(scratchIn: directory.path, columns: 1, capacity: 6)
    try file.write(Tensor([10, 11, 12], shape: [3, 1]), to: [4, 5, 1])
    #expect(try file.gather(0..<6).elements == [0, 12, 0, 0, 10, 11])
  }

  @Test func anyNumberOfThreadsGathersTheSame() throws {
    let directory = try TemporaryDirectory()
    // 4 KiB a row: 64 rows a piece, so that 1,000 rows are 16 pieces.
    let file = try RowFile<Float>(scratchIn: directory.path, columns: 1024, capacity: 1000)
    try file.write(rows(0..<1000, columns: 1024), at: 0)
    let slots = (0..<1000).map { ($0 * 377) % 1000 }
    let expected = rows(slots, columns: 1024)
    for threads in [1, 2, 7] {
      #expect(try file.gather(slots, workers: Workers(threads: threads)) == expected)
    }
  }

  @Test func aScratchFileHasNoNameAndIsPrivate() throws {
    let directory = try TemporaryDirectory()
    let file = try RowFile<Float>(scratchIn: directory.path, columns: 2, capacity: 2)
    #expect(try directory.names.isEmpty)
    guard case .file(let scratch) = file.backing else {
      Issue.record("not a file without leave to use memory")
      return
    }
    #expect(try scratch.status().st_mode & 0o777 == 0o600)
  }

  /// Exactly the limit is in memory, a byte less is not; both hold the same rows.
  @Test(arguments: [24, 23]) func aSmallScratchFileMayBeMemory(limit: Int) throws {
    let directory = try TemporaryDirectory()
    let file = try RowFile<Float>(scratchIn: directory.path, columns: 2, capacity: 3, inMemoryUpTo: limit)
    if case .memory = file.backing { #expect(limit == 24) } else { #expect(limit == 23) }
    try file.write(rows([5, 6], columns: 2), at: 1)
    #expect(try file.gather([2, 0, 1]).elements == [6, 6.5, 0, 0, 5, 5.5])
    #expect(throws: FileError.self) { try file.write(rows([7, 8], columns: 2), at: 2) }
    #expect(throws: FileError.self) { try file.gather([3]) }
    try file.sync()
  }

  @Test func aDurableFileIsFoundAgain() throws {
    let directory = try TemporaryDirectory()
    do {
      let file = try RowFile<Float>(path: directory.file("rows"), columns: 2, capacity: 4)
      try file.write(rows([3], columns: 2), at: 3)
      try file.sync()
    }
    let file = try RowFile<Float>(path: directory.file("rows"), columns: 2, capacity: 4)
    #expect(try file.gather([3, 2]).elements == [3, 3.5, 0, 0])
  }

  @Test func aDurableFileOfAnotherSizeIsRefused() throws {
    let directory = try TemporaryDirectory()
    _ = try RowFile<Float>(path: directory.file("rows"), columns: 2, capacity: 4)
    #expect(throws: FileError.rows(path: directory.file("rows"), .length(expected: 40, found: 32))) {
      try RowFile<Float>(path: directory.file("rows"), columns: 2, capacity: 5)
    }
  }

  @Test(arguments: [(0, 1), (-1, 1), (1, -1), (Int.max, 1), (1 << 40, 1 << 40), (Int.max, 0), (Int.max / 4, 1)])
  func sizesThatCannotBe(columns: Int, capacity: Int) throws {
    let directory = try TemporaryDirectory()
    #expect(throws: FileError.self) {
      try RowFile<Double>(scratchIn: directory.path, columns: columns, capacity: capacity)
    }
    #expect(try directory.names.isEmpty)
  }

  @Test func slotsOutsideTheFileAreRefused() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("rows")
    let file = try RowFile<Float>(path: path, columns: 2, capacity: 4)
    func refused(_ slot: Int) -> FileError { .rows(path: path, .slotOutOfRange(slot: slot, capacity: 4)) }
    #expect(throws: refused(-1)) { try file.gather([-1]) }
    #expect(throws: refused(4)) { try file.gather([0, 4]) }
    #expect(throws: refused(.max)) { try file.gather([UInt64.max]) }
    #expect(throws: refused(4)) { try file.write(rows([0], columns: 2), to: [4]) }
    #expect(throws: refused(-1)) { try file.write(rows([0], columns: 2), at: -1) }
    #expect(throws: refused(4)) { try file.write(rows([0, 1], columns: 2), at: 3) }
    #expect(throws: refused(.max)) { try file.write(rows([0], columns: 2), at: .max) }
  }

  @Test func buffersOfAnotherSizeAreRefused() throws {
    let directory = try TemporaryDirectory()
    let file = try RowFile<Float>(path: directory.file("rows"), columns: 2, capacity: 4)
    var target = Tensor<Float>(zeros: [3])
    #expect(throws: FileError.rows(path: directory.file("rows"), .bufferSize(expected: 4, found: 3))) {
      try target.withUnsafeMutableBufferPointer { buffer in try file.gather([0, 1], into: buffer) }
    }
    #expect(throws: FileError.rows(path: directory.file("rows"), .columns(expected: 2, found: 3))) {
      try file.write(Tensor<Float>(zeros: [1, 3]), at: 0)
    }
    #expect(throws: FileError.rows(path: directory.file("rows"), .bufferSize(expected: 2, found: 4))) {
      try file.write(Tensor<Float>(zeros: [2, 2]), to: [0])
    }
    #expect(throws: FileError.rows(path: directory.file("rows"), .bufferSize(expected: 2, found: 3))) {
      try Tensor<Float>(zeros: [3]).withUnsafeBufferPointer { buffer in try file.write(buffer, at: 0) }
    }
  }

  @Test func aFileCutShortFromOutsideIsAnError() throws {
    let directory = try TemporaryDirectory()
    let file = try RowFile<Float>(path: directory.file("rows"), columns: 2, capacity: 4)
    #expect(truncate(directory.file("rows"), 20) == 0)
    #expect(throws: FileError.rows(path: directory.file("rows"), .length(expected: 32, found: 20))) {
      try file.gather([3])
    }
  }

  /// A file size limit stands in for a disk that takes no more: both are errors of the write itself. The limit is far
  /// above every other test's files, the file has a hole below it.
  @Test func aDiskThatTakesNoMoreIsExhausted() throws {
    let directory = try TemporaryDirectory()
    var before = rlimit()
    #expect(getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &before) == 0)
    signal(SIGXFSZ, SIG_IGN)
    let terabyte = 1 << 40
    let file = try RowFile<UInt8>(scratchIn: directory.path, columns: 1 << 20, capacity: 2 << 20)
    var limit = before
    limit.rlim_cur = rlim_t(terabyte)
    #expect(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
    defer { setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &before) }
    let row = Tensor<UInt8>(repeating: 1, shape: [1, 1 << 20])
    #expect(throws: Never.self) { try file.write(row, at: 0) }
    let error = #expect(throws: FileError.self) { try file.write(row, at: 1 << 20) }
    #expect(error == .system(.write, path: directory.path, code: EFBIG))
    #expect(error?.kind == .exhausted)
  }

  @Test func runsOfSlots() {
    let slots = [5, 6, 7, 3, 4, 4, 2]
    #expect(
      Array(SlotRuns(slots[...])) == [
        SlotRuns.Run(first: 0, slot: 5, count: 3), SlotRuns.Run(first: 3, slot: 3, count: 2),
        SlotRuns.Run(first: 5, slot: 4, count: 1), SlotRuns.Run(first: 6, slot: 2, count: 1),
      ])
    #expect(Array(SlotRuns(slots[1..<3])) == [SlotRuns.Run(first: 1, slot: 6, count: 2)])
    #expect(Array(SlotRuns([])).isEmpty)
  }

  /// Writers and readers of disjoint slots at once: every row read is a row written.
  @Test func gatheringAndWritingDisjointSlotsAtOnce() throws {
    let directory = try TemporaryDirectory()
    let file = try RowFile<Float>(scratchIn: directory.path, columns: 64, capacity: 512)
    try file.write(rows(0..<256, columns: 64), at: 0)
    let expected = rows(0..<256, columns: 64)
    let upper = rows(256..<512, columns: 64)
    Workers(threads: 4).perform(pieces: 40) { piece in
      if piece % 2 == 0 {
        #expect((try? file.gather(0..<256)) == expected)
      } else {
        #expect(throws: Never.self) { try file.write(upper, at: 256) }
      }
    }
    #expect(try file.gather(256..<512) == upper)
  }
}
