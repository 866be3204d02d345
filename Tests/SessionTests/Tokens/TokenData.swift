import Datasets
import Foundation
import TestSupport

/// Token sequences with labels of every kind in an HDF5 file.
struct TokenData: Sendable {
  static let columns = 10
  static let classes = 3

  let file: URL

  /// - Parameter change: what a test of bad data does to a row's ids, mask and label.
  init(
    in directory: TemporaryDirectory, rows: Int = 30, name: String = "tokens",
    _ change: (Int, inout [Int64], inout [Int64], inout Int64) -> Void = { _, _, _, _ in }
  ) throws {
    file = directory.url("\(name).h5")
    var random = SplitMix(seed: 4)
    let writer = try HDF5Writer(path: file.path)
    for column in ["ids", "mask", "types", "tags"] {
      try writer.createMatrix(column, columns: Self.columns, of: Int64.self)
    }
    for column in ["tasks", "targets"] { try writer.createMatrix(column, columns: 2, of: Float.self) }
    var labels: [Int64] = []
    for row in 0..<rows {
      let length = 3 + Int(random.next() % UInt64(Self.columns - 2))
      var ids = (0..<Self.columns).map { $0 < length ? Int64(1 + random.next() % 19) : 0 }
      var mask = (0..<Self.columns).map { Int64($0 < length ? 1 : 0) }
      var label = Int64(ids[1]) % 3
      change(row, &ids, &mask, &label)
      labels.append(label)
      try writer.append(ids, to: "ids")
      try writer.append(mask, to: "mask")
      try writer.append((0..<Self.columns).map { Int64($0 < 2 ? 0 : 1) }, to: "types")
      try writer.append(ids.map { $0 % 4 == 3 ? -100 : $0 % 3 }, to: "tags")
      try writer.append([random.nextValue() > 0 ? 1 : 0, row % 5 == 0 ? .nan : Float(row % 2)], to: "tasks")
      try writer.append([random.nextValue(), random.nextValue()], to: "targets")
    }
    try writer.write(labels, to: "labels")
    try writer.commit()
  }
}
