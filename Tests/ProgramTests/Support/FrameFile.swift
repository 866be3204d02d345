import CHDF5
import Foundation

@testable import Datasets

/// A small file with strings of varying length wherever AnnData has some: attributes, indices, categories, and a field of a compound dataset of
/// its older layout; beside them compressed rows `X` and class ids `y`.
struct FrameFile {
  static let rows = 30

  /// Whether groups and objects have the forms of the newest files, instead of those that every version reads.
  var isNewest = false

  func write(to path: String) {
    HDF5Library.locked {
      let access = hdf5NewFileAccess()
      if isNewest { H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110) }
      let file = H5Fcreate(path, hdf5OverwriteFlag(), hdf5DefaultProperties(), access)
      attribute(file, "encoding-type", ["anndata"])
      matrix(file)
      let frame = group(file, "obs")
      attribute(frame, "_index", ["names"])
      attribute(frame, "column-order", ["kind", "depth"])
      texts(frame, "names", (0..<Self.rows).map { "cell-\($0)" }, chunk: 8)
      let kind = group(frame, "kind")
      attribute(kind, "encoding-type", ["categorical"])
      texts(kind, "categories", ["kind number one", "kind two", "three"])
      integers(kind, "codes", (0..<Self.rows).map { Int64($0 % 3) })
      let columns = group(file, "var")
      attribute(columns, "_index", ["names"])
      texts(columns, "names", (0..<6).map { "gene-\($0)" })
      texts(file, "labels", (0..<Self.rows).map { ["low", "high"][$0 % 2] })
      integers(file, "y", (0..<Self.rows).map { Int64($0 % 3) })
      compound(file)
      for identifier in [columns, kind, frame] { H5Gclose(identifier) }
      H5Pclose(access)
      H5Fclose(file)
    }
  }

  private func stringType() -> hid_t { MemoryElement.variableString(utf8: true).makeType() }

  private func group(_ parent: hid_t, _ name: String) -> hid_t {
    H5Gcreate2(parent, name, hdf5DefaultProperties(), hdf5DefaultProperties(), hdf5DefaultProperties())
  }

  private func attribute(_ object: hid_t, _ name: String, _ values: [String]) {
    let type = stringType()
    let space = values.count == 1 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, [hsize_t(values.count)], nil)
    let attribute = H5Acreate2(object, name, type, space, hdf5DefaultProperties(), hdf5DefaultProperties())
    withPointers(values) { _ = H5Awrite(attribute, type, $0) }
    H5Aclose(attribute)
    H5Sclose(space)
    H5Tclose(type)
  }

  private func texts(_ group: hid_t, _ name: String, _ values: [String], chunk: hsize_t? = nil) {
    let type = stringType()
    dataset(group, name, type, shape: [hsize_t(values.count)], chunk: chunk.map { [$0] }) { dataset in
      withPointers(values) { write(dataset, type, $0) }
      attribute(dataset, "encoding-type", ["string-array"])
    }
    H5Tclose(type)
  }

  private func integers(_ group: hid_t, _ name: String, _ values: [Int64]) {
    dataset(group, name, hdf5LittleEndianInt64(), shape: [hsize_t(values.count)], chunk: nil) {
      write($0, hdf5NativeInt64(), values)
    }
  }

  private func matrix(_ file: hid_t) {
    let values = (0..<Self.rows * 6).map { Float($0 % 23) / 23 }
    dataset(file, "X", hdf5LittleEndianFloat32(), shape: [hsize_t(Self.rows), 6], chunk: [7, 6]) {
      write($0, hdf5NativeFloat(), values)
    }
  }

  /// A row: a pointer to its name, and a number.
  private func compound(_ file: hid_t) {
    let names = (0..<Self.rows).map { strdup("old-\($0)") }
    defer { names.forEach { free($0) } }
    let type = H5Tcreate(H5T_COMPOUND, 16)
    let string = stringType()
    H5Tinsert(type, "index", 0, string)
    H5Tinsert(type, "depth", 8, hdf5LittleEndianInt64())
    var bytes: [UInt8] = []
    for (row, name) in names.enumerated() {
      withUnsafeBytes(of: UInt(bitPattern: name)) { bytes += $0 }
      withUnsafeBytes(of: Int64(row)) { bytes += $0 }
    }
    dataset(file, "old", type, shape: [hsize_t(Self.rows)], chunk: nil) { write($0, type, bytes) }
    H5Tclose(string)
    H5Tclose(type)
  }

  private func dataset(
    _ group: hid_t, _ name: String, _ type: hid_t, shape: [hsize_t], chunk: [hsize_t]?, fill: (hid_t) -> Void
  ) {
    let properties = hdf5NewDatasetCreation()
    if let chunk {
      H5Pset_chunk(properties, Int32(chunk.count), chunk)
      H5Pset_shuffle(properties)
      H5Pset_deflate(properties, 4)
    }
    let space = H5Screate_simple(Int32(shape.count), shape, nil)
    let dataset = H5Dcreate2(group, name, type, space, hdf5DefaultProperties(), properties, hdf5DefaultProperties())
    fill(dataset)
    H5Dclose(dataset)
    H5Sclose(space)
    H5Pclose(properties)
  }

  private func write(_ dataset: hid_t, _ type: hid_t, _ values: UnsafeRawPointer) {
    H5Dwrite(dataset, type, hdf5WholeSpace(), hdf5WholeSpace(), hdf5DefaultProperties(), values)
  }

  private func withPointers(_ values: [String], _ body: (UnsafeRawPointer) -> Void) {
    let pointers = values.map { strdup($0) }
    defer { pointers.forEach { free($0) } }
    pointers.withUnsafeBytes { bytes in
      if let base = bytes.baseAddress { body(base) }
    }
  }
}
