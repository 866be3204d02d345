import Checkpoints
import Datasets
import Foundation
import JobSpec
import Masking
import OwnerSession
import Synchronization
import Tensors
import Testing

/// Masking behind training: the same rows as masking before it, in fixed blocks, and no error is lost.
@Suite(.timeLimit(.minutes(1))) struct SlotMaskerTests {
  private struct Refused: Error {}

  private static func files(
    _ directory: TemporaryDirectory, rows: Int
  ) throws -> (plain: RowFile<Float>, masked: RowFile<Double>) {
    let plain = try RowFile<Float>(
      scratchIn: directory.url.path, columns: 2, capacity: rows, inMemoryUpTo: 1 << 20)
    try plain.write(Tensor((0..<2 * rows).map { Float($0) }, shape: [rows, 2]), at: 0)
    return (plain, try RowFile(scratchIn: directory.url.path, columns: 3, capacity: rows, inMemoryUpTo: 1 << 20))
  }

  /// Each row's sum, its first number and the number of rows in its block.
  private static func mask(_ rows: Tensor<Float>) -> Tensor<Double> {
    let values = (0..<rows.rows).flatMap { (row: Int) -> [Double] in
      let sum: Float = rows[row, 0] + rows[row, 1]
      return [Double(sum), Double(rows[row, 0]), Double(rows.rows)]
    }
    return Tensor(values, shape: [rows.rows, 3])
  }

  @Test(arguments: [1, 4, 5, 11])
  func blocksAreTheSameWhateverIsAskedForFirst(_ first: Int) throws {
    let directory = try TemporaryDirectory()
    let (plain, masked) = try Self.files(directory, rows: 11)
    let masker = SlotMasker(plain: plain, into: masked, rowsInBlock: 4) { Self.mask($0) }
    try masker.wait(upTo: first)
    try masker.wait(upTo: 11)
    let expected = (0..<11).flatMap { (row: Int) -> [Double] in
      let block: Double = row < 8 ? 4 : 3
      return [Double(4 * row + 1), Double(2 * row), block]
    }
    #expect(try masked.gather(0..<11) == Tensor(expected, shape: [11, 3]))
  }

  @Test func anErrorIsThrownToWhoeverNeedsTheRows() throws {
    let directory = try TemporaryDirectory()
    let (plain, masked) = try Self.files(directory, rows: 11)
    let masker = SlotMasker(plain: plain, into: masked, rowsInBlock: 4) { rows in
      if rows[0, 0] == 8 { throw Refused() }
      return Self.mask(rows)
    }
    try masker.wait(upTo: 4)
    #expect(throws: Refused.self) { try masker.wait(upTo: 5) }
    #expect(throws: Refused.self) { try masker.wait(upTo: 11) }
    try masker.wait(upTo: 3)
  }

  @Test func endsEarlyWhenNobodyNeedsTheRows() throws {
    let directory = try TemporaryDirectory()
    let (plain, masked) = try Self.files(directory, rows: 1000)
    let blocks = Mutex(0)
    let isLetGo = DispatchSemaphore(value: 0)
    let isDone = DispatchSemaphore(value: 0)
    var masker: SlotMasker<Double>? = SlotMasker(plain: plain, into: masked, rowsInBlock: 1) { rows in
      let isFirst = blocks.withLock { blocks in
        blocks += 1
        return blocks == 1
      }
      if isFirst {
        isDone.signal()
        isLetGo.wait()
      }
      return Self.mask(rows)
    }
    isDone.wait()
    try masker?.wait(upTo: 0)
    masker = nil
    isLetGo.signal()
    Thread.sleep(forTimeInterval: 0.1)
    #expect(blocks.withLock { $0 } == 1)
  }

  /// Small jobs mask behind training; the others are what this compares with.
  @Test(arguments: [false, true])
  func rowsAreThoseOfMaskingBeforeTraining(_ standardize: Bool) throws {
    let site = try Site<Float>()
    let run = try site.run(SmallJob().changing { $0.standardize = standardize })
    let keys = JobKeys<Float>(master: run.master, plan: run.prepared.shape.keyPlan, workers: Workers(threads: 2))
    let slots = Array(0..<run.prepared.plan.totalRows)
    guard case .features(let source) = run.prepared.source else { throw OwnerError.unfitData("no features") }
    let standardization =
      standardize
      ? try Standardization.fit(source, isTraining: [Bool](repeating: true, count: source.rows)) : nil
    func rows(_ limits: SpoolLimits) throws -> Tensor<Float> {
      var times = PhaseTimes()
      let spool = try RowSpool(
        run.prepared, source: source, standardization: standardization, keys: keys, scratch: site.directory.url,
        limits: limits,
        times: &times
      ) { _, _ in }
      return try spool.rows(slots)
    }
    let behind = try rows(SpoolLimits())
    #expect(try rows(SpoolLimits()) == behind)
    for before in [try rows(SpoolLimits(backgroundWork: 0)), try rows(SpoolLimits(memory: 0))] {
      #expect(before.shape == behind.shape)
      #expect(zip(before.elements, behind.elements).allSatisfy { abs($0 - $1) < 1e-4 })
    }
  }
}
