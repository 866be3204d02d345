import CHDF5
import Numerics

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

/// A filter that a dataset's chunks went through, by its registered number.
struct StorageFilter: Sendable, Equatable {
  let id: Int32

  /// libhdf5's built-in filters.
  private static let builtIn: [Int32: String] = [
    1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset",
  ]

  /// Registered plugins that people meet, so that a refusal can name them.
  private static let registered: [Int32: String] = [
    305: "LZO", 307: "bzip2", 32000: "LZF", 32001: "Blosc", 32004: "LZ4", 32008: "bitshuffle", 32013: "ZFP",
    32015: "Zstandard", 32017: "SZ", 32026: "Blosc2",
  ]

  var name: String { Self.builtIn[id] ?? Self.registered[id] ?? "unregistered" }

  /// Built into the libhdf5 in use. Plugins and filters a program registers never are.
  var isSupported: Bool { Self.builtIn[id] != nil && HDF5Library.locked { H5Zfilter_avail(id) } > 0 }

  /// What a refusal says.
  var refusal: String {
    let what = Self.builtIn[id] != nil ? "which this libhdf5 was built without" : "a plugin, and plugins are not loaded"
    // h5py has LZF built in, and the Python package hdf5plugin brings the rest of those named here.
    let python = Self.registered[id] == nil || id == 32000 ? "h5py" : "h5py, hdf5plugin"
    return "its chunks are packed with filter \(name) (\(id)), \(what); rewrite it with gzip where the filter is "
      + "installed: `h5repack -f GZIP=4 in.h5 out.h5`, or in Python `import \(python); h5py.File('out.h5', 'w')"
      + ".create_dataset(NAME, data=h5py.File('in.h5')[NAME], chunks=True, compression='gzip')`"
  }
}

/// How to read a dataset by ascending blocks of rows so that libhdf5 inflates each chunk once.
///
/// libhdf5 reads and inflates whole chunks, and keeps the last ones in a cache of 1 MB, which few datasets' chunks fit. Here
/// blocks are whole bands (a band: all chunks that hold the same rows) where a band is small, and the cache holds a band
/// where blocks are smaller than it. Only where a band exceeds the cache, as with chunks that are tall and narrower than a row,
/// is each of its chunks inflated more than once: `inflationsPerChunk` says how often, and `inspect` shows it.
///
/// Rows are never read in shuffled order: that would inflate a chunk for every row of it. A job reads its file once, in
/// ascending order, masks each row once and keeps masked rows in a scratch file of its own, from which shuffled batches are
/// gathered; so every chunk is inflated once per job, not once per epoch or row.
struct ChunkPlan: Sendable, Equatable {
  /// What one block of rows may take as 32-bit floats …
  static let blockBytes = 8 << 20
  /// … and what it may take where more rows at a time save inflating chunks again.
  static let largeBlockBytes = 32 << 20
  /// The longest row of features: 8,388,608 columns.
  static let largestRowBytes = largeBlockBytes
  /// What libhdf5 may keep of inflated chunks, a dataset.
  static let cacheBytes = 64 << 20
  /// A filtered chunk is inflated in memory as a whole, whatever is asked of it.
  static let largestFilteredChunk = 256 << 20

  struct Cache: Sendable, Equatable {
    let bytes: Int
    let slots: Int
  }

  /// Rows of a block: reading `0..<n`, `n..<2n` … is the cheap order.
  let rowBlock: Int
  /// Rows that one chunk spans; nil unless chunked.
  let chunkRows: Int?
  /// The chunk cache, in bytes and slots; nil leaves libhdf5's own.
  let cache: Cache?
  /// How often a chunk is inflated when the dataset is read once by ascending blocks.
  let inflationsPerChunk: Int

  /// - Parameters:
  ///   - shape: the dataset's, rows first; not empty.
  ///   - columns: numbers a row yields in memory.
  ///   - elementBytes: what an element takes in the file.
  /// - Throws: `DatasetError.tooLarge` for filtered chunks beyond `largestFilteredChunk`.
  init(
    shape: [Int], columns: Int, elementBytes: Int, layout: StorageLayout, location: DataLocation
  ) throws(DatasetError) {
    let rowBytes = max(1, columns).multipliedReportingOverflow(by: 4)
    guard !rowBytes.overflow else { throw DatasetError(.tooLarge, location, "a row is too large to be read") }
    let blockRows = max(1, Self.blockBytes / rowBytes.partialValue)
    guard let chunk = layout.chunk, chunk.count == shape.count, let chunkRows = chunk.first else {
      rowBlock = blockRows
      chunkRows = nil
      cache = nil
      inflationsPerChunk = layout.filters.isEmpty ? 0 : 1
      return
    }
    let chunkBytes = Shape.elementCount(chunk + [elementBytes]) ?? Int.max
    if chunkBytes > Self.largestFilteredChunk && !layout.filters.isEmpty {
      throw DatasetError(
        .tooLarge, location,
        "its chunks take more than \(Self.largestFilteredChunk >> 20) MB each and are filtered, so that one row costs a whole "
          + "chunk of memory; rewrite it with smaller chunks, for example `h5repack -l CHUNK=256x… in.h5 out.h5`")
    }
    let across = zip(shape, chunk).dropFirst().reduce(1) { Self.product($0, (max(1, $1.0) - 1) / $1.1 + 1) }
    let bandBytes = Self.product(across, chunkBytes)

    var rows = blockRows
    var inflations = 1
    if chunkRows <= blockRows {
      rows -= rows % chunkRows
    } else if bandBytes > Self.cacheBytes {
      rows = min(chunkRows, max(1, Self.largeBlockBytes / rowBytes.partialValue))
      inflations = (chunkRows - 1) / rows + 1
    }
    rowBlock = rows
    self.chunkRows = chunkRows
    // Twice a band, for a block that lies in two; almost nothing where not even one fits, because each block would
    // drive all chunks of the one before out. A slot for each chunk of a band: libhdf5 takes a chunk's slot from the low bits
    // of its position in the band, so that fewer slots would make the chunks of one band drive each other out.
    let leastCache = 1 << 20
    cache = Cache(
      bytes: bandBytes > Self.cacheBytes
        ? leastCache : min(Self.cacheBytes, max(Self.product(2, bandBytes), leastCache)),
      slots: max(521, min(across, 1 << 20) * 2 + 1))
    inflationsPerChunk = layout.filters.isEmpty ? 0 : inflations
  }

  private static func product(_ left: Int, _ right: Int) -> Int {
    let (value, overflow) = left.multipliedReportingOverflow(by: right)
    return overflow ? Int.max : value
  }
}
