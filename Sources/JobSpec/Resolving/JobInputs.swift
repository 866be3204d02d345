/// What a sample is, and where it stands in the file.
package enum JobInputs: Sendable, Equatable, Codable {
  /// A row of a matrix at this path; `obs[column]` is a field of a compound dataset.
  case features(String)
  /// A sequence of tokens.
  case tokens(TokenColumns)
}
