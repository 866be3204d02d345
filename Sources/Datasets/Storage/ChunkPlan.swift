import Tensors

/// How to read a dataset by ascending blocks of rows so that libhdf5 inflates each chunk once.
///
/// libhdf5 reads and inflates whole chunks, and keeps the last ones in a cache of 1 MB, which few datasets' chunks fit. Here
/// blocks are whole bands (a band: all chunks that hold the same rows) where a band is small, and the cache holds a band
/// where blocks are smaller than it. Only where a band exceeds the cache, as with chunks that are tall and narrower than a row,
/// is each of its chunks inflated more than once: `inflationsPerChunk` says how often, and `inspect` shows it.
///
/// Rows are never read in shuffled order: that would inflate a chunk for every row of it. A job reads its file once, in
/// ascending order, masks each row once and keeps masked rows in a scratch file of its own, from which shuffled batches are
/// gathered; so every chunk is inflated once a job, not once an epoch or once a row.
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
    // Twice a band, for a block that lies in two. A slot for each chunk of a band: libhdf5 takes a chunk's slot from the low
    // bits of its position in the band, so that fewer slots would make the chunks of one band drive each other out.
    cache = Cache(
      bytes: min(Self.cacheBytes, max(Self.product(2, bandBytes), 1 << 20)),
      slots: max(521, min(across, 1 << 20) * 2 + 1))
    inflationsPerChunk = layout.filters.isEmpty ? 0 : inflations
  }

  private static func product(_ left: Int, _ right: Int) -> Int {
    let (value, overflow) = left.multipliedReportingOverflow(by: right)
    return overflow ? Int.max : value
  }
}
