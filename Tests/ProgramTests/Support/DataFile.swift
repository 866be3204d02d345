import CHDF5
import Foundation

@testable import Datasets

/// Small HDF5 files: features `x`, class ids `y`, one value a row `v`, by default of 60 rows and 4 columns.
struct DataFile {
  var rows = 60
  var columns = 4
  /// Of a row and a column.
  var feature: (Int, Int) -> Float = { row, column in
    Float((row * 37 + column * 11) % 23) / 23 - 0.5 + (column == row % 3 ? 1 : 0)
  }
  var label: (Int) -> Int64 = { Int64($0 % 3) }

  func write(to path: String) throws {
    let writer = try HDF5Writer(path: path)
    defer { writer.abandon() }
    try writer.createMatrix("x", columns: columns, of: Float.self)
    try writer.append((0..<rows).flatMap { row in (0..<columns).map { feature(row, $0) } }, to: "x")
    try writer.write((0..<rows).map(label), to: "y")
    try writer.write((0..<rows).map { Float($0 % 7) / 3 }, to: "v")
    try writer.commit()
  }

  /// A file with one dataset, `x`, of fixed-length strings.
  static func writeStrings(_ texts: [String], to path: String) {
    HDF5Library.locked { writeStringsAlone(texts, to: path) }
  }

  private static func writeStringsAlone(_ texts: [String], to path: String) {
    let width = 8
    let file = H5Fcreate(path, 2 /* truncate */, hdf5DefaultProperties(), hdf5DefaultProperties())
    let type = H5Tcopy(hdf5CString())
    H5Tset_size(type, width)
    let space = H5Screate_simple(1, [hsize_t(texts.count)], nil)
    let dataset = H5Dcreate2(
      file, "x", type, space, hdf5DefaultProperties(), hdf5DefaultProperties(), hdf5DefaultProperties())
    let bytes = texts.flatMap {
      Array($0.utf8.prefix(width)) + [UInt8](repeating: 0, count: max(0, width - $0.utf8.count))
    }
    H5Dwrite(dataset, type, hdf5WholeSpace(), hdf5WholeSpace(), hdf5DefaultProperties(), bytes)
    H5Dclose(dataset)
    H5Sclose(space)
    H5Tclose(type)
    H5Fclose(file)
  }
}
