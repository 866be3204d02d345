/// The feature rows of a job: an N × d matrix of finite 32-bit floats, streamed from a file.
///
/// Meant to be read once, by ascending blocks of `preferredRowBlock` rows: then libhdf5 inflates every chunk of the file once.
/// Training does not read HDF5 rows in shuffled order. The owner reads the file once, masks each row once and keeps the masked
/// rows in a scratch file, from which the shuffled mini-batches of all epochs are gathered (`ChunkPlan` says more).
///
/// Calls from several threads are allowed and take turns.
package protocol FeatureSource: Sendable {
  /// N, at least 1.
  var rows: Int { get }
  /// d, at least 1.
  var columns: Int { get }

  /// Rows to ask for at once: whole chunks, up to 8 MB of floats; up to 32 MB where the file's chunks are so tall that smaller
  /// blocks would inflate each of them many times.
  var preferredRowBlock: Int { get }

  /// How often a chunk of the file is inflated when it is read once in such blocks: 1 where all is well, more where tall and
  /// narrow chunks exceed the cache, 0 where nothing is compressed.
  var inflationsPerChunk: Int { get }

  /// Fills the first `rows.count * columns` floats of `destination`, row-major. Numbers of other types are rounded to nearest.
  /// - Throws: `DatasetError`: `damagedRows` naming rows, `notFinite` naming row and column of a NaN, an infinity or a number
  ///   beyond the range of 32-bit floats, `invalidSparseRow`.
  func read(rows: Range<Int>, into destination: UnsafeMutableBufferPointer<Float>) throws(DatasetError)
}
