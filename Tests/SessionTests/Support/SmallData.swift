import Datasets
import Foundation
import TestSupport

/// Rows and labels of every kind, in an HDF5 file and in memory for the reference.
struct SmallData: Sendable {
  static let columns = 6
  static let outputs = 3

  let file: URL
  let rows: Int
  let features: [[Float]]
  let classes: [Int]
  /// 0, 1 or NaN, rows × outputs.
  let tasks: [[Float]]
  /// Rows × outputs.
  let targets: [[Float]]
  /// `targets` with some NaN.
  let targetsWithGaps: [[Float]]
  /// Whole numbers, so that some are equal.
  let times: [Double]
  let events: [Bool]

  /// 44 rows: with a fifth of them for validation 35 remain, so batches of 8 give 5 steps an epoch, the last of 3 rows.
  init(in directory: TemporaryDirectory, rows: Int = 44, seed: UInt64 = 1) throws {
    self.rows = rows
    file = directory.url("rows-\(rows)-\(seed).h5")
    var random = SplitMix(seed: seed)
    // Columns of unlike size and centre, so that standardisation has something to do.
    let scales = (0..<Self.columns).map { Float($0 + 1) / 3 }
    let features = (0..<rows).map { _ in scales.map { random.nextValue() * $0 + 0.2 } }
    let mixing = (0..<Self.outputs).map { _ in (0..<Self.columns).map { _ in random.nextValue() } }
    let scores = features.map { row in
      mixing.map { weights in zip(weights, row).reduce(Float(0)) { $0 + $1.0 * $1.1 } + random.nextValue() / 2 }
    }
    self.features = features
    classes = scores.map { row in row.indices.max { row[$0] < row[$1] } ?? 0 }
    tasks = scores.map { row in row.map { random.next() % 5 == 0 ? .nan : ($0 > 0 ? 1 : 0) } }
    targets = scores
    targetsWithGaps = scores.map { row in row.map { random.next() % 5 == 0 ? .nan : $0 } }
    times = scores.map { Double(max(0, 6 - 3 * $0[0]).rounded()) }
    events = scores.map { _ in random.next() % 3 != 0 }
    try write()
  }

  private func write() throws {
    let writer = try HDF5Writer(path: file.path)
    try writer.createMatrix("x", columns: Self.columns, of: Float.self)
    try writer.append(features.flatMap { $0 }, to: "x")
    try writer.write(classes.map { Int64($0) }, to: "classes")
    try writer.createMatrix("times", columns: 1, of: Float.self)
    try writer.append(times.map { Float($0) }, to: "times")
    try writer.write(events.map { $0 ? Int64(1) : 0 }, to: "events")
    for (name, values) in [("tasks", tasks), ("targets", targets), ("targets_with_gaps", targetsWithGaps)] {
      try writer.createMatrix(name, columns: Self.outputs, of: Float.self)
      try writer.append(values.flatMap { $0 }, to: name)
    }
    try writer.commit()
  }
}
