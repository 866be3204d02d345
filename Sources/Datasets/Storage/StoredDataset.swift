import CHDF5
import Tensors

/// A dataset whose header has been read and none of its elements.
struct StoredDataset: Sendable {
  let handle: Handle
  /// The group and the link in it that lead here: where the dataset is opened again with a cache that suits it.
  let group: StoredGroup
  let name: String
  let location: DataLocation

  func layout() throws(DatasetError) -> StorageLayout {
    try StorageLayout(of: handle, at: location)
  }

  func type() throws(DatasetError) -> StoredType {
    let type = try Handle(.damagedFile, location, "its type cannot be read") { handle.use { H5Dget_type($0) } }
    return try StoredTypeReader(location: location).read(type)
  }

  /// Bytes of an element in the file.
  func elementBytes() throws(DatasetError) -> Int {
    let type = try Handle(.damagedFile, location, "its type cannot be read") { handle.use { H5Dget_type($0) } }
    return type.use { Int(clamping: H5Tget_size($0)) }
  }

  /// The extents, outermost first; empty for a scalar. Must not be asked of a virtual dataset.
  /// - Throws: `tooLarge` when the elements cannot be counted, let alone their bytes, in 63 bits.
  func shape() throws(DatasetError) -> [Int] {
    try Self.shape(location: location, elementBytes: try elementBytes()) { handle.use { H5Dget_space($0) } }
  }

  /// The extents of the dataspace that `open` returns.
  static func shape(
    location: DataLocation, elementBytes: Int, _ open: () -> hid_t
  ) throws(DatasetError) -> [Int] {
    let space = try Handle(.damagedFile, location, "its extent cannot be read", open)
    if space.use({ H5Sget_simple_extent_type($0) }) == H5S_NULL { return [0] }
    var dimensions = [hsize_t](repeating: 0, count: Int(H5S_MAX_RANK))
    let rank = try HDF5Library.check(.damagedFile, location, "its extent cannot be read") {
      space.use { H5Sget_simple_extent_dims($0, &dimensions, nil) }
    }
    let shape = dimensions.prefix(Int(rank)).compactMap { Int(exactly: $0) }
    guard shape.count == Int(rank), Shape.elementCount(shape + [elementBytes]) != nil else {
      throw DatasetError(.tooLarge, location, "its extents overflow; no file can hold that many elements")
    }
    return shape
  }
}
