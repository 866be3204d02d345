import CHDF5
import Foundation

@testable import Datasets

/// `DataFile`'s rows as AnnData lays them out: `X`, classes in `y`, and names in the indices of `var` and `obs`.
struct AnnDataFile {
  var data = DataFile()
  /// The column of `data` that stands in each column of the file.
  var order = [0, 1, 2, 3]
  /// Names of `data`'s columns; nil for a file without.
  var names: [String]? = ["CD4", "CD8A", "MS4A1", "NKG7"]

  func write(to path: String) throws {
    let writer = try HDF5Writer(path: path)
    defer { writer.abandon() }
    try writer.createMatrix("X", columns: order.count, of: Float.self)
    try writer.append((0..<data.rows).flatMap { row in order.map { data.feature(row, $0) } }, to: "X")
    try writer.write((0..<data.rows).map(data.label), to: "y")
    try writer.commit()
    guard let names else { return }
    HDF5Library.locked {
      let file = H5Fopen(path, 1 /* read and write */, hdf5DefaultProperties())
      defer { H5Fclose(file) }
      Self.writeIndex(file, frame: "var", order.map { names[$0] })
      Self.writeIndex(file, frame: "obs", (0..<data.rows).map { "cell-\($0)" })
    }
  }

  private static func writeIndex(_ file: hid_t, frame: String, _ names: [String]) {
    let width = 16
    let group = H5Gcreate2(file, frame, hdf5DefaultProperties(), hdf5DefaultProperties(), hdf5DefaultProperties())
    let type = H5Tcopy(hdf5CString())
    H5Tset_size(type, width)
    let scalar = H5Screate(H5S_SCALAR)
    let attribute = H5Acreate2(group, "_index", type, scalar, hdf5DefaultProperties(), hdf5DefaultProperties())
    H5Awrite(attribute, type, padded("names", width))
    H5Aclose(attribute)
    H5Sclose(scalar)
    let space = H5Screate_simple(1, [hsize_t(names.count)], nil)
    let dataset = H5Dcreate2(
      group, "names", type, space, hdf5DefaultProperties(), hdf5DefaultProperties(), hdf5DefaultProperties())
    H5Dwrite(
      dataset, type, hdf5WholeSpace(), hdf5WholeSpace(), hdf5DefaultProperties(), names.flatMap { padded($0, width) })
    H5Dclose(dataset)
    H5Sclose(space)
    H5Tclose(type)
    H5Gclose(group)
  }

  private static func padded(_ text: String, _ width: Int) -> [UInt8] {
    Array(text.utf8.prefix(width)) + [UInt8](repeating: 0, count: max(0, width - text.utf8.count))
  }
}
