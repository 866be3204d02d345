import CHDF5

/// How a dataset's elements lie in the file.
struct StorageLayout: Sendable, Equatable {
  enum Kind: Sendable, Equatable { case compact, contiguous, chunked, virtual, unknown }

  let kind: Kind
  /// Elements of a chunk along each dimension; nil unless chunked.
  let chunk: [Int]?
  let filters: [StorageFilter]
  /// How many other files hold the elements.
  let externalFiles: Int

  /// Reads it from a dataset that has been opened and nothing more: asking a virtual dataset for its extent would already
  /// open the files that it refers to.
  init(of dataset: Handle, at location: DataLocation) throws(DatasetError) {
    let problem = "its storage layout cannot be read"
    let properties = try Handle(.damagedFile, location, problem) { dataset.use { H5Dget_create_plist($0) } }
    let kind: Kind =
      switch properties.use({ H5Pget_layout($0) }) {
      case H5D_COMPACT: .compact
      case H5D_CONTIGUOUS: .contiguous
      case H5D_CHUNKED: .chunked
      case H5D_VIRTUAL: .virtual
      default: .unknown
      }
    self.kind = kind

    externalFiles = Int(
      try HDF5Library.check(.damagedFile, location, problem) { properties.use { H5Pget_external_count($0) } })

    let count = try HDF5Library.check(.damagedFile, location, problem) { properties.use { H5Pget_nfilters($0) } }
    var filters: [StorageFilter] = []
    for index in 0..<UInt32(count) {
      let id = try HDF5Library.check(.damagedFile, location, problem) {
        properties.use { properties in
          var flags: UInt32 = 0
          var values = 0
          var configuration: UInt32 = 0
          return H5Pget_filter2(properties, index, &flags, &values, nil, 0, nil, &configuration)
        }
      }
      filters.append(StorageFilter(id: id))
    }
    self.filters = filters

    guard kind == .chunked else {
      chunk = nil
      return
    }
    var dimensions = [hsize_t](repeating: 0, count: Int(H5S_MAX_RANK))
    let rank = try HDF5Library.check(.damagedFile, location, problem) {
      properties.use { H5Pget_chunk($0, H5S_MAX_RANK, &dimensions) }
    }
    let chunk = dimensions.prefix(Int(rank)).compactMap { Int(exactly: $0) }
    guard chunk.count == Int(rank), chunk.allSatisfy({ $0 > 0 }) else {
      throw DatasetError(.damagedFile, location, "its chunks have no size")
    }
    self.chunk = chunk
  }

  /// Why reading is refused; nil when it is not.
  var refusal: (reason: DatasetError.Reason, problem: String)? {
    if kind == .virtual {
      return (.virtualDataset, "it is a virtual dataset, put together from other files; copy it into one dataset first")
    }
    if externalFiles > 0 {
      return (.externalStorage, "its elements lie in other files (external storage); copy it into one dataset first")
    }
    if kind == .unknown { return (.unsupportedLayout, "its storage layout is unknown to this libhdf5") }
    guard let filter = filters.first(where: { !$0.isSupported }) else { return nil }
    return (.unsupportedFilter, filter.refusal)
  }
}
