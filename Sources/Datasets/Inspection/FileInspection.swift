import CHDF5

extension HDF5File {
  /// Lists what the file holds. Reads every float dataset once to count its missing values, in bounded memory; parts that are
  /// refused or damaged are listed with the reason.
  package func inspect() throws(DatasetError) -> FileInspection {
    var inspector = FileInspector(self)
    return try inspector.inspect()
  }
}

/// What an HDF5 file holds, for people and scripts: what is refused is listed with the reason, not left out.
package struct FileInspection: Codable, Sendable, Equatable {
  package let file: String
  /// In the order of their paths.
  package let datasets: [DatasetInspection]
  /// Groups that are read as one thing: sparse matrices and categories.
  package let groups: [GroupInspection]
  package let refusedObjects: [RefusedObject]
  /// Attributes of the file's root.
  package let attributes: [String: String]
}

/// One dataset of a file.
package struct DatasetInspection: Codable, Sendable, Equatable {
  package struct Field: Codable, Sendable, Equatable {
    package let name: String
    package let type: String
    /// NaNs of a float field; nil for other types.
    package let missing: Int?
    /// Where the names are that its integer codes stand for, in AnnData's older layout.
    package let categories: String?
  }

  package let path: String
  /// nil when it cannot be told without opening other files.
  package let shape: [Int]?
  package let type: String
  package let layout: String
  package let chunks: [Int]?
  package let filters: [String]
  /// NaNs of a float dataset; nil for other types and where rows cannot be read.
  package let missing: Int?
  /// Of a compound dataset, in the stored order.
  package let fields: [Field]
  package let categories: String?
  package let attributes: [String: String]
  /// How often a chunk is inflated in one pass; more than 1 is worth rewriting the file with other chunks.
  package let inflationsPerChunk: Int?
  /// Why a job cannot read it; nil when it can.
  package let refusal: String?
}

/// A group that a job reads as one column or matrix.
package struct GroupInspection: Codable, Sendable, Equatable {
  package enum Role: String, Codable, Sendable {
    case compressedSparseRows
    /// Refused: rows cannot be read from it.
    case compressedSparseColumns
    case categories
  }

  package let path: String
  package let role: Role
  /// Of a sparse matrix: rows, columns.
  package let shape: [Int]?
  /// Entries a sparse matrix stores.
  package let storedEntries: Int?
  /// Of a categorical column.
  package let categoryCount: Int?
}

/// A link that is never followed, or an object that is too damaged to be described.
package struct RefusedObject: Codable, Sendable, Equatable {
  package let path: String
  /// Where a link leads and why that is refused; what is wrong with an object.
  package let problem: String
}

/// Walks a file's links, each object once.
struct FileInspector {
  /// More objects than this are not listed for a person.
  private static let maxObjects = 100_000
  private static let maxGroupDepth = 64

  let file: HDF5File
  private var datasets: [DatasetInspection] = []
  private var groups: [GroupInspection] = []
  private var refusedObjects: [RefusedObject] = []
  /// Objects met before: hard links may lead in circles.
  private var visited: Set<haddr_t> = []

  init(_ file: HDF5File) {
    self.file = file
  }

  mutating func inspect() throws(DatasetError) -> FileInspection {
    guard case .group(let root) = try file.resolve("/") else {
      throw DatasetError(.damagedFile, file.location, "its root is not a group")
    }
    try visit(root, path: "", depth: 0)
    return FileInspection(
      file: file.path, datasets: datasets, groups: groups, refusedObjects: refusedObjects,
      attributes: try AttributeReader(object: root.handle, location: root.location).describeAll())
  }

  private mutating func visit(_ group: StoredGroup, path: String, depth: Int) throws(DatasetError) {
    guard depth <= Self.maxGroupDepth else {
      throw DatasetError(.tooLarge, group.location, "its groups are nested more than \(Self.maxGroupDepth) deep")
    }
    guard visited.insert(try address(group)).inserted else { return }
    if let special = try recognise(group, path: path) { groups.append(special) }
    for name in try group.names() {
      guard datasets.count + groups.count + refusedObjects.count < Self.maxObjects else {
        throw DatasetError(.tooLarge, file.location, "it holds more than \(Self.maxObjects) objects")
      }
      let child = path.isEmpty ? name : "\(path)/\(name)"
      do throws(DatasetError) {
        switch try file.resolve(child) {
        case .group(let inner): try visit(inner, path: child, depth: depth + 1)
        case .dataset(let dataset):
          if visited.insert(dataset.address).inserted { datasets.append(try describe(dataset, path: child)) }
        }
      } catch {
        // A part that cannot be read does not hide the rest.
        refusedObjects.append(RefusedObject(path: child, problem: error.problem))
      }
    }
  }

  private func address(_ group: StoredGroup) throws(DatasetError) -> haddr_t {
    var address: haddr_t = 0
    _ = try HDF5Library.check(.damagedFile, group.location, "it cannot be opened") {
      group.handle.use { hdf5GetObjectAddress($0, &address) }
    }
    return address
  }

  private func recognise(_ group: StoredGroup, path: String) throws(DatasetError) -> GroupInspection? {
    if let sparse = try SparseLayout(group) {
      let entries = (try? file.openArray("\(path)/data"))?.rows
      return GroupInspection(
        path: path, role: sparse.orientation == .rows ? .compressedSparseRows : .compressedSparseColumns,
        shape: sparse.shape, storedEntries: entries, categoryCount: nil)
    }
    guard try group.link("codes") != nil, try group.link("categories") != nil else { return nil }
    return GroupInspection(
      path: path, role: .categories, shape: nil, storedEntries: nil,
      categoryCount: (try? CategoryNames(file: file).read("\(path)/categories"))?.count)
  }

  private func describe(_ dataset: StoredDataset, path: String) throws(DatasetError) -> DatasetInspection {
    let layout = dataset.layout
    let type = dataset.type
    var fields: [StoredType.Field] = []
    if case .compound(let found) = type { fields = found }
    var refusal = layout.refusal?.problem
    var missing: Int?
    var plan: ChunkPlan?
    var described: [DatasetInspection.Field] = []
    do throws(DatasetError) {
      if refusal == nil && fields.isEmpty {
        let array = try StoredArray(dataset, field: nil)
        plan = array.plan
        missing = try MissingValueCount(array: array).count()
      }
      for field in fields {
        let fieldPath = ObjectPath(object: path, field: field.name)
        let array = refusal == nil ? try StoredArray(dataset, field: field.name) : nil
        plan = array?.plan ?? plan
        described.append(
          DatasetInspection.Field(
            name: field.name, type: field.type.description,
            missing: try array.map { (array) throws(DatasetError) in try MissingValueCount(array: array).count() }
              ?? nil,
            categories: field.type.isInteger ? try CategoryNames(file: file).path(forCodesAt: fieldPath) : nil))
      }
    } catch {
      refusal = error.problem
    }
    let codes = ObjectPath(object: path, field: nil)
    return DatasetInspection(
      path: path, shape: dataset.shape, type: type.description,
      layout: "\(layout.kind)", chunks: layout.chunk, filters: layout.filters.map { "\($0.name) (\($0.id))" },
      missing: missing, fields: described,
      categories: type.isInteger ? try CategoryNames(file: file).path(forCodesAt: codes) : nil,
      attributes: try AttributeReader(object: dataset.open(), location: dataset.location).describeAll(),
      inflationsPerChunk: plan?.inflationsPerChunk, refusal: refusal)
  }
}

/// Counts NaNs by reading a float array once, block by block.
struct MissingValueCount {
  let array: StoredArray

  /// nil unless the array holds floats and its rows are small enough to be read one by one.
  func count() throws(DatasetError) -> Int? {
    guard array.element.isFloat, array.columns <= ChunkPlan.largestRowBytes / 4 else { return nil }
    guard array.rows > 0, array.columns > 0 else { return 0 }
    let block = min(array.plan.rowBlock, array.rows)
    var buffer = [Float](repeating: 0, count: block * array.columns)
    var missing = 0
    var start = 0
    while start < array.rows {
      let rows = start..<min(start + block, array.rows)
      try array.read(rows: rows, as: .float, into: &buffer)
      for value in buffer.prefix(rows.count * array.columns) where value.isNaN { missing += 1 }
      start = rows.upperBound
    }
    return missing
  }
}
