extension HDF5File {
  /// Opens the features of a job: a numeric N × d dataset, an AnnData group of compressed sparse rows, or a numeric field of a
  /// compound dataset (`obs[percent_mito]`).
  /// - Throws: `DatasetError` for what is missing, refused or not a matrix of numbers. Values are checked as they are read.
  package func openFeatures(path: String) throws(DatasetError) -> any FeatureSource {
    let objectPath = ObjectPath(path)
    switch try resolve(objectPath.object) {
    case .dataset(let dataset):
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
  func openArray(_ path: String) throws(DatasetError) -> StoredArray {
    let objectPath = ObjectPath(path)
    switch try resolve(objectPath.object) {
    case .dataset(let dataset): return try StoredArray(dataset, field: objectPath.field)
    case .group(let group):
      if let field = objectPath.field { return try openArray("\(objectPath.object)/\(field)") }
      let names = try group.names()
      throw DatasetError(
        .wrongObject, group.location, "it is a group, not a dataset; it holds: \(StoredType.list(names))")
    }
  }
}
