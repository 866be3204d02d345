import CHDF5
import Numerics

/// The rows of a dataset, or of one field of a compound dataset, ready to be read.
///
/// Opening one has checked everything that does not need the elements: storage within this file, filters, sizes.
final class StoredArray: Sendable {
  let location: DataLocation
  /// The type of one element, fields and arrays unwrapped.
  let element: StoredType
  /// The dataset's extents, followed by those of an array field.
  let shape: [Int]
  let plan: ChunkPlan
  /// The first extent; 1 for a scalar.
  var rows: Int { shape.first ?? 1 }
  /// Elements a row.
  let columns: Int

  private let dataset: Handle
  private let datasetShape: [Int]
  private let field: String?
  private let fieldShape: [Int]

  init(_ stored: StoredDataset, field: String?) throws(DatasetError) {
    let location = field.map { stored.location.object("\(stored.location.object ?? "")[\($0)]") } ?? stored.location
    if let refusal = stored.layout.refusal { throw DatasetError(refusal.reason, location, refusal.problem) }
    let type = try Self.select(field, of: stored.type, location)
    if case .array(let element, let shape) = type {
      self.element = element
      fieldShape = shape
    } else {
      element = type
      fieldShape = []
    }
    datasetShape = stored.shape ?? []
    shape = (datasetShape.isEmpty && !fieldShape.isEmpty ? [1] : datasetShape) + fieldShape
    // 8 is the widest number in memory: whatever is allocated for rows of this array can be counted.
    guard let columns = Shape.elementCount(Array(shape.dropFirst())), Shape.elementCount(shape + [8]) != nil else {
      throw DatasetError(.tooLarge, location, "its extents overflow")
    }
    self.columns = columns
    self.location = location
    self.field = field
    plan = try ChunkPlan(
      shape: datasetShape, columns: columns, elementBytes: stored.elementBytes, layout: stored.layout,
      location: location)
    dataset = try stored.open(cache: plan.cache)
    try stored.checkStorage(dataset, shape: datasetShape)
  }

  private static func select(
    _ field: String?, of type: StoredType, _ location: DataLocation
  ) throws(DatasetError) -> StoredType {
    guard let field else {
      if case .compound(let fields) = type {
        throw DatasetError(
          .wrongType, location,
          "it is a compound dataset; name one of its fields, \(location.object ?? "")[FIELD]: "
            + StoredType.list(fields.map(\.name)))
      }
      return type
    }
    guard case .compound(let fields) = type else {
      throw DatasetError(.missingObject, location, "it is not a compound dataset (\(type)), so it has no fields")
    }
    guard let found = fields.first(where: { $0.name == field }) else {
      throw DatasetError(
        .missingObject, location, "there is no such field; there is: \(StoredType.list(fields.map(\.name)))")
    }
    return found.type
  }

  /// Reads rows in row-major order into memory for `rows.count * columns` elements.
  /// - Throws: `damagedRows` naming the first rows that cannot be read.
  func read(rows: Range<Int>, as memory: MemoryElement, into buffer: UnsafeMutableRawBufferPointer) throws(DatasetError)
  {
    guard rows.lowerBound >= 0, rows.upperBound <= self.rows,
      let bytes = Shape.elementCount([rows.count, columns, memory.byteCount]), buffer.count >= bytes
    else {
      throw DatasetError(.defect, location, "rows \(rows) were asked for, or memory for them was too small")
    }
    guard bytes > 0, let base = buffer.baseAddress else { return }
    do {
      try readBlock(rows, memory, base)
    } catch {
      // Read again in steps of a chunk, so that the error can name the rows of the first damaged one.
      let step = plan.chunkRows ?? max(1, rows.count / 64)
      var start = rows.lowerBound
      while start < rows.upperBound {
        let end = min((start / step + 1) * step, rows.upperBound)
        try readBlock(start..<end, memory, base + (start - rows.lowerBound) * columns * memory.byteCount)
        start = end
      }
      throw error
    }
  }

  /// Reads rows into an array, from the element at `offset` on.
  func read<Element: BitwiseCopyable>(
    rows: Range<Int>, as memory: MemoryElement, into array: inout [Element], at offset: Int = 0
  ) throws(DatasetError) {
    let result: Result<Void, DatasetError> = array.withUnsafeMutableBytes { bytes in
      Result { () throws(DatasetError) in
        let part = bytes.dropFirst(offset * MemoryLayout<Element>.stride)
        try read(rows: rows, as: memory, into: UnsafeMutableRawBufferPointer(rebasing: part))
      }
    }
    try result.get()
  }

  private func readBlock(
    _ rows: Range<Int>, _ memory: MemoryElement, _ base: UnsafeMutableRawPointer
  ) throws(DatasetError) {
    let problem = "rows \(rows.lowerBound)–\(rows.upperBound - 1) cannot be read, the file is damaged there"
    let type = try memoryType(memory)
    let fileSpace = try Handle(.damagedRows, location, problem) { dataset.use { H5Dget_space($0) } }
    // Memory has the file's rank: libhdf5 falls back to copying element by element between selections of unlike shapes.
    var memorySpace: Handle?
    if !datasetShape.isEmpty {
      let start = [hsize_t(rows.lowerBound)] + datasetShape.dropFirst().map { _ in 0 }
      let count = [hsize_t(rows.count)] + datasetShape.dropFirst().map { hsize_t($0) }
      _ = try HDF5Library.check(.damagedRows, location, problem) {
        fileSpace.use { H5Sselect_hyperslab($0, H5S_SELECT_SET, start, nil, count, nil) }
      }
      memorySpace = try Handle(.damagedRows, location, problem) { H5Screate_simple(Int32(count.count), count, nil) }
    }
    _ = try HDF5Library.check(.damagedRows, location, problem) {
      dataset.use { dataset in
        type.use { type in
          fileSpace.use { file in
            memorySpace?.use { H5Dread(dataset, type, $0, file, hdf5DefaultProperties(), base) }
              ?? H5Dread(dataset, type, hdf5WholeSpace(), hdf5WholeSpace(), hdf5DefaultProperties(), base)
          }
        }
      }
    }
  }

  /// The memory form of one dataset element: an array for array fields, wrapped into a compound of the one field wanted.
  func memoryType(_ memory: MemoryElement) throws(DatasetError) -> Handle {
    let problem = "its type cannot be converted"
    var type = try Handle(.wrongType, location, problem) { memory.makeType() }
    var bytes = memory.byteCount
    if !fieldShape.isEmpty {
      let dimensions = fieldShape.map { hsize_t($0) }
      let element = type
      type = try Handle(.wrongType, location, problem) {
        element.use { H5Tarray_create2($0, UInt32(dimensions.count), dimensions) }
      }
      bytes *= fieldShape.reduce(1, *)
    }
    guard let field else { return type }
    let compound = try Handle(.wrongType, location, problem) { H5Tcreate(H5T_COMPOUND, bytes) }
    _ = try HDF5Library.check(.wrongType, location, problem) {
      compound.use { compound in type.use { H5Tinsert(compound, field, 0, $0) } }
    }
    return compound
  }

  /// Frees the strings that reading whole rows as `memory`, a `.variableString`, put into `pointers`.
  func reclaimStrings(
    _ memory: MemoryElement, _ pointers: inout [UnsafeMutablePointer<CChar>?]
  ) throws(DatasetError) {
    let type = try memoryType(memory)
    let count = [hsize_t(pointers.count)]
    let space = try Handle(.defect, location, "strings cannot be freed") { H5Screate_simple(1, count, nil) }
    _ = try HDF5Library.check(.defect, location, "strings cannot be freed") {
      type.use { type in space.use { H5Dvlen_reclaim(type, $0, hdf5DefaultProperties(), &pointers) } }
    }
  }
}
