import CHDF5
import Numerics

/// What a dataset's header says; none of its elements has been read.
///
/// Holds no open dataset: libhdf5 takes the size of a dataset's chunk cache from whoever opens it first, and `StoredArray` has to
/// be the first.
struct StoredDataset: Sendable {
  /// A field or row of a compound dataset may be an array; beyond this it is damage.
  private static let maxElementBytes = 16 << 20

  /// The group and the link in it that lead here.
  let group: StoredGroup
  let name: String
  let location: DataLocation
  /// Two paths lead to the same dataset exactly when this is the same.
  let address: haddr_t
  let layout: StorageLayout
  let type: StoredType
  /// Bytes of an element in the file.
  let elementBytes: Int
  /// The extents, outermost first; empty for a scalar; nil for a virtual dataset, which would open other files to tell.
  let shape: [Int]?

  /// - Throws: `damagedFile`, and `tooLarge` when the elements cannot be counted, let alone their bytes, in 63 bits.
  init(_ handle: Handle, group: StoredGroup, name: String, location: DataLocation) throws(DatasetError) {
    self.group = group
    self.name = name
    self.location = location
    var address: haddr_t = 0
    _ = try HDF5Library.check(.damagedFile, location, "it cannot be opened") {
      handle.use { hdf5GetObjectAddress($0, &address) }
    }
    self.address = address
    layout = try StorageLayout(of: handle, at: location)
    let stored = try Handle(.damagedFile, location, "its type cannot be read") { handle.use { H5Dget_type($0) } }
    type = try StoredTypeReader(location: location).read(stored)
    elementBytes = stored.use { Int(clamping: H5Tget_size($0)) }
    guard layout.kind != .virtual else {
      shape = nil
      return
    }
    shape = try Self.shape(location: location, elementBytes: elementBytes) { handle.use { H5Dget_space($0) } }
  }

  /// The dataset, with a chunk cache of that size where one is given and the dataset is open nowhere else.
  func open(cache: ChunkPlan.Cache? = nil) throws(DatasetError) -> Handle {
    let access = try Handle(.defect, location, "libhdf5 cannot be used") { hdf5NewDatasetAccess() }
    if let cache {
      // Chunks that have been read completely go first (libhdf5's own preference). At 1, libhdf5 1.10 evicts no others at all, and
      // the cache outgrows its limit.
      _ = try HDF5Library.check(.defect, location, "its cache cannot be set") {
        access.use { H5Pset_chunk_cache($0, cache.slots, cache.bytes, 0.75) }
      }
    }
    return try Handle(.damagedFile, location, "it cannot be opened") {
      group.handle.use { group in access.use { H5Dopen2(group, name, $0) } }
    }
  }

  /// Checks what libhdf5 takes on trust before it copies and converts: an element's size, and that unchunked storage holds as
  /// many bytes as the extents and the type say.
  /// - Throws: `tooLarge`, `damagedFile`.
  func checkStorage(_ dataset: Handle, shape: [Int]) throws(DatasetError) {
    guard elementBytes <= Self.maxElementBytes else {
      throw DatasetError(
        .tooLarge, location, "an element takes \(elementBytes) bytes; the limit is \(Self.maxElementBytes)")
    }
    guard layout.kind == .compact || layout.kind == .contiguous else { return }
    let stored = dataset.use { Int(clamping: H5Dget_storage_size($0)) }
    guard let needed = Shape.elementCount(shape + [elementBytes]), stored >= needed || stored == 0 else {
      throw DatasetError(.damagedFile, location, "its storage is smaller than its extents and type say")
    }
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
