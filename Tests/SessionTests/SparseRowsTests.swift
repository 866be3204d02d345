import Datasets
import Foundation
import JobSpec
import Masking
import Numerics
import Testing
import TestSupport

@testable import OwnerRole

/// Rows that a file stores as compressed sparse rows, on their way to the key.
@Suite(.waiting) struct SparseRowsTests {
  private static let columns = 40
  private static let rows = 30

  /// Rows in memory as a sparse file gives them: entries in falling order of their columns, with a stored zero in each row.
  private struct StoredSparse: SparseFeatureSource {
    let values: [[Float]]
    /// Rows that are read dense are an error.
    let refusesDenseReads: Bool

    var rows: Int { values.count }
    var columns: Int { values[0].count }
    var preferredRowBlock: Int { 7 }
    var inflationsPerChunk: Int { 1 }

    func readEntries(rows: Range<Int>) throws(DatasetError) -> StoredEntries<Float> {
      var (offsets, indices, entries): ([Int], [Int32], [Float]) = ([0], [], [])
      for row in rows {
        for column in (0..<columns).reversed() where values[row][column] != 0 || column == row % columns {
          indices.append(Int32(column))
          entries.append(values[row][column])
        }
        offsets.append(indices.count)
      }
      return StoredEntries(offsets: offsets, columns: indices, values: entries)
    }

    func read(rows: Range<Int>, into destination: UnsafeMutableBufferPointer<Float>) throws(DatasetError) {
      if refusesDenseReads { Issue.record("rows \(rows) were made dense") }
      for (index, value) in values[rows].joined().enumerated() { destination[index] = value }
    }

    func read(rows: Range<Int>, into destination: UnsafeMutableBufferPointer<Double>) throws(DatasetError) {
      for (index, value) in values[rows].joined().enumerated() { destination[index] = Double(value) }
    }
  }

  /// The same rows without the way to their entries.
  private struct StoredDense: FeatureSource {
    let base: StoredSparse

    var rows: Int { base.rows }
    var columns: Int { base.columns }
    var preferredRowBlock: Int { base.preferredRowBlock }
    var inflationsPerChunk: Int { 1 }

    func read(rows: Range<Int>, into destination: UnsafeMutableBufferPointer<Float>) throws(DatasetError) {
      try base.read(rows: rows, into: destination)
    }

    func read(rows: Range<Int>, into destination: UnsafeMutableBufferPointer<Double>) throws(DatasetError) {
      try base.read(rows: rows, into: destination)
    }
  }

  /// - Parameter every: of the values one in so many is not 0.
  private func values(every: Int) -> [[Float]] {
    (0..<Self.rows).map { row in
      (0..<Self.columns).map { ($0 + row).isMultiple(of: every) ? Float($0 * 31 % 17 + 1) / 7 : 0 }
    }
  }

  private let directory: TemporaryDirectory
  private let prepared: PreparedJob
  private let keys: JobKeys<Float>

  init() throws {
    directory = try TemporaryDirectory()
    let file = directory.url("rows.h5")
    let writer = try HDF5Writer(path: file.path)
    try writer.createMatrix("x", columns: Self.columns, of: Float.self)
    try writer.append([Float](repeating: 1, count: Self.rows * Self.columns), to: "x")
    try writer.write((0..<Self.rows).map { Int64($0 % 3) }, to: "classes")
    try writer.commit()
    let small = SmallJob().resolved(on: try SmallData(in: directory))
    let job = ResolvedJob(
      name: small.name, trainer: small.trainer,
      data: JobData(
        file: file.path, inputs: .features("x"), labels: "classes", split: small.data.split, standardize: false),
      task: small.task, model: small.model, masking: small.masking, lossLocation: small.lossLocation,
      optimizer: small.optimizer, schedule: small.schedule, train: small.train,
      checkpointEverySteps: small.checkpointEverySteps)
    prepared = try PreparedJob(job: job, secret: try OrderSecret(ephemeralWithSeed: 1))
    keys = JobKeys(
      master: MasterKey(), plan: prepared.shape.keyPlan, compute: Compute(threads: 1))
  }

  private func masked(_ source: any FeatureSource, standardization: Standardization? = nil) throws -> [Float] {
    var times = PhaseTimes()
    let spool = try RowSpool(
      prepared, source: source, standardization: standardization, noise: nil, keys: keys,
      scratch: directory.url("."), times: &times, progress: { _, _ in })
    return try spool.rows(Array(0..<prepared.plan.totalRows)).elements
  }

  /// One value in 20: masked entry by entry, from the entries that the file has, in the same bits as from a dense file.
  @Test func sparseRowsAreNotMadeDenseAndSparseAgain() throws {
    let values = values(every: 20)
    let sparse = try masked(StoredSparse(values: values, refusesDenseReads: true))
    let dense = try masked(StoredDense(base: StoredSparse(values: values, refusesDenseReads: false)))
    #expect(sparse == dense)
  }

  /// One value in 4 is above the share for which entries pay: masked as dense rows, in the same bits.
  @Test func rowsWithManyEntriesAreMaskedDense() throws {
    let values = values(every: 4)
    let sparse = try masked(StoredSparse(values: values, refusesDenseReads: true))
    let dense = try masked(StoredDense(base: StoredSparse(values: values, refusesDenseReads: false)))
    #expect(sparse == dense)
  }

  /// Standardised rows have no zeros: both ways are one.
  @Test func standardizedRowsAreMaskedDense() throws {
    let values = values(every: 20)
    let statistics = Standardization(
      mean: (0..<Self.columns).map { Double($0) / 9 }, scale: (0..<Self.columns).map { Double($0 + 1) / 3 })
    let sparse = try masked(StoredSparse(values: values, refusesDenseReads: true), standardization: statistics)
    let dense = try masked(
      StoredDense(base: StoredSparse(values: values, refusesDenseReads: false)), standardization: statistics)
    #expect(sparse == dense)
  }
}
