/// What the rows of a value are.
package enum RowDomain: Sendable, Equatable {
  /// One row a token. Where a sample is one row (an MLP) this is the same as `samples`, and only `samples` is used.
  case tokens
  /// One row a sample.
  case samples
}
