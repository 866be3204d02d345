/// A feature matrix that its file stores as compressed sparse rows.
package protocol SparseFeatureSource: FeatureSource {
  /// The stored entries of some rows, checked as in `read(rows:into:)`.
  func readSparse(rows: Range<Int>) throws(DatasetError) -> SparseRows
}
