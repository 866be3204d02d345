/// Which rows are held out for validation.
package enum DataSplit: Sendable, Equatable, Codable {
  /// A random share, 0 ≤ validation < 1.
  case fraction(validation: Double, seed: Int)
  /// Rows whose group in the dataset `by` has the remainder `equals`; 0 ≤ equals < modulo.
  case modulo(by: String, modulo: Int, equals: Int)
  /// Row numbers listed in a dataset of the file.
  case rows(path: String)
}
