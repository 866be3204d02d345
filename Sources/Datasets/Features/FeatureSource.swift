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

  /// Fills the first `rows.count * columns` elements of `destination`, row-major, rounded to nearest: what is trained on.
  /// - Throws: `DatasetError`: `damagedRows` naming rows, `notFinite` naming row and column of a NaN, an infinity or a number
  ///   beyond the range of 32-bit floats, `invalidSparseRow`.
  func read(rows: Range<Int>, into destination: UnsafeMutableBufferPointer<Float>) throws(DatasetError)

  /// The same in the file's own precision (only integers above 2⁵³ are rounded): what statistics are taken from. A column of
  /// large numbers that differ little, such as times, has no digits left of its differences in 32 bits.
  func read(rows: Range<Int>, into destination: UnsafeMutableBufferPointer<Double>) throws(DatasetError)
}

extension HDF5File {
  /// Opens the features of a job: a numeric N × d dataset, an AnnData group of compressed sparse rows, or a numeric field of a
  /// compound dataset (`obs[percent_mito]`).
  /// - Throws: `DatasetError` for what is missing, refused or not a matrix of numbers. Values are checked as they are read.
  package func openFeatures(path: String) throws(DatasetError) -> any FeatureSource {
    let objectPath = ObjectPath(path)
    switch try resolve(objectPath.object) {
    case .dataset(let dataset):
      try NullableColumn.refusePart(objectPath, in: self)
      return try DenseFeatures(StoredArray(dataset, field: objectPath.field), isField: objectPath.field != nil)
    case .group(let group):
      if let field = objectPath.field { return try openFeatures(path: "\(objectPath.object)/\(field)") }
      guard let layout = try SparseLayout(group) else {
        let names = try group.names()
        throw DatasetError(
          .wrongObject, group.location,
          "it is a group and not a sparse matrix (no attribute h5sparse_format or encoding-type says so); it holds: "
            + StoredType.list(names))
      }
      guard layout.orientation == .rows else {
        throw DatasetError(
          .unsupportedLayout, group.location,
          "it is stored by columns (CSC), where a row cannot be read without reading everything; convert it, in Python: "
            + "adata.X = adata.X.tocsr(); adata.write_h5ad('out.h5ad')")
      }
      return try SparseFeatures(group, shape: layout.shape) { (name) throws(DatasetError) in
        try self.openArray("\(objectPath.object)/\(name)")
      }
    }
  }

  /// A dataset, or a field of one, for reading rows.
  /// - Throws: `wrongObject` for a group, and for the values of a nullable column without their mask.
  func openArray(_ path: String) throws(DatasetError) -> StoredArray {
    try NullableColumn.refusePart(ObjectPath(path), in: self)
    return try openPart(path)
  }

  /// The same for what is read together with its mask, or as a list of names.
  func openPart(_ path: String) throws(DatasetError) -> StoredArray {
    let objectPath = ObjectPath(path)
    switch try resolve(objectPath.object) {
    case .dataset(let dataset): return try StoredArray(dataset, field: objectPath.field)
    case .group(let group):
      if let field = objectPath.field { return try openPart("\(objectPath.object)/\(field)") }
      let names = try group.names()
      throw DatasetError(
        .wrongObject, group.location, "it is a group, not a dataset; it holds: \(StoredType.list(names))")
    }
  }
}

/// An N × d dataset of numbers, or a numeric field of a compound dataset (N × 1, or N × d for an array field).
struct DenseFeatures: FeatureSource {
  private let array: StoredArray

  var rows: Int { array.rows }
  var columns: Int { array.columns }
  var preferredRowBlock: Int { min(array.plan.rowBlock, rows) }
  var inflationsPerChunk: Int { array.plan.inflationsPerChunk }

  /// - Throws: `wrongType`, `wrongRank`, `empty`.
  init(_ array: StoredArray, isField: Bool) throws(DatasetError) {
    let location = array.location
    guard array.element.isNumeric else {
      throw DatasetError(.wrongType, location, "it holds \(array.element); features must be numbers")
    }
    let rank = array.shape.count
    guard rank == 2 || (isField && rank == 1) else {
      throw DatasetError(
        .wrongRank, location,
        "its shape is \(array.shape), rank \(rank); features are a matrix of rank 2, rows × columns")
    }
    guard array.rows > 0, array.columns > 0 else {
      throw DatasetError(.empty, location, "its shape is \(array.shape): there are no rows or no columns to train on")
    }
    guard array.columns <= ChunkPlan.largestRowBytes / 4 else {
      throw DatasetError(.tooLarge, location, "it has more than \(ChunkPlan.largestRowBytes / 4) columns")
    }
    self.array = array
  }

  func read(rows: Range<Int>, into destination: UnsafeMutableBufferPointer<Float>) throws(DatasetError) {
    try readValues(rows, destination)
  }

  func read(rows: Range<Int>, into destination: UnsafeMutableBufferPointer<Double>) throws(DatasetError) {
    try readValues(rows, destination)
  }

  private func readValues<Value: FeatureValue>(
    _ rows: Range<Int>, _ destination: UnsafeMutableBufferPointer<Value>
  ) throws(DatasetError) {
    try array.read(rows: rows, as: Value.memory, into: UnsafeMutableRawBufferPointer(destination))
    guard array.element.isFloat else { return }
    let values = UnsafeBufferPointer(rebasing: destination.prefix(rows.count * columns))
    guard let index = Value.firstNotFinite(in: values) else { return }
    throw DatasetError(
      .notFinite, array.location,
      "row \(rows.lowerBound + index / columns), column \(index % columns) is NaN, infinite or beyond the range of 32-bit "
        + "floats; features must be finite, so fill in or drop missing values first")
  }
}

/// The two precisions that features are read in.
protocol FeatureValue: BinaryFloatingPoint, BitwiseCopyable, Sendable {
  static var memory: MemoryElement { get }

  /// The index of the first value that is no finite 32-bit float; nil when there is none.
  static func firstNotFinite(in values: UnsafeBufferPointer<Self>) -> Int?
}

extension Float: FeatureValue {
  static var memory: MemoryElement { .float }

  static func firstNotFinite(in values: UnsafeBufferPointer<Float>) -> Int? {
    // Without its sign, a float's bits order like the float, infinities and NaN last. The maximum is one pass of integer
    // instructions over whole vectors; a search by `isFinite` would branch at every element.
    var largest: UInt32 = 0
    for value in values { largest = max(largest, value.bitPattern & 0x7fff_ffff) }
    if largest < Float.infinity.bitPattern { return nil }
    return values.firstIndex { !$0.isFinite }
  }
}

extension Double: FeatureValue {
  static var memory: MemoryElement { .double }

  static func firstNotFinite(in values: UnsafeBufferPointer<Double>) -> Int? {
    values.firstIndex { !Float($0).isFinite }
  }
}
