import CHDF5

/// Walks a file's links, each object once.
struct FileInspector {
  /// More objects than this are not listed for a person.
  private static let mostObjects = 100_000
  private static let deepestGroup = 64

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
    guard depth <= Self.deepestGroup else {
      throw DatasetError(.tooLarge, group.location, "its groups are nested more than \(Self.deepestGroup) deep")
    }
    guard try isNew(group.handle, group.location) else { return }
    if let special = try recognise(group, path: path) { groups.append(special) }
    for name in try group.names() {
      guard datasets.count + groups.count + refusedObjects.count < Self.mostObjects else {
        throw DatasetError(.tooLarge, file.location, "it holds more than \(Self.mostObjects) objects")
      }
      let child = path.isEmpty ? name : "\(path)/\(name)"
      do throws(DatasetError) {
        switch try file.resolve(child) {
        case .group(let inner): try visit(inner, path: child, depth: depth + 1)
        case .dataset(let dataset):
          if try isNew(dataset.handle, dataset.location) { datasets.append(try describe(dataset, path: child)) }
        }
      } catch {
        // A part that cannot be read does not hide the rest.
        refusedObjects.append(RefusedObject(path: child, problem: error.problem))
      }
    }
  }

  private mutating func isNew(_ object: Handle, _ location: DataLocation) throws(DatasetError) -> Bool {
    var address: haddr_t = 0
    _ = try HDF5Library.check(.damagedFile, location, "it cannot be opened") {
      object.use { hdf5GetObjectAddress($0, &address) }
    }
    return visited.insert(address).inserted
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
    let layout = try dataset.layout()
    let type = try dataset.type()
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
      path: path, shape: layout.kind == .virtual ? nil : try dataset.shape(), type: type.description,
      layout: "\(layout.kind)", chunks: layout.chunk, filters: layout.filters.map { "\($0.name) (\($0.id))" },
      missing: missing, fields: described,
      categories: type.isInteger ? try CategoryNames(file: file).path(forCodesAt: codes) : nil,
      attributes: try AttributeReader(object: dataset.handle, location: dataset.location).describeAll(),
      inflationsPerChunk: plan?.inflationsPerChunk, refusal: refusal)
  }
}
