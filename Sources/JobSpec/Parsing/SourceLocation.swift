/// Where a value was written, for error messages.
package struct SourceLocation: Sendable, Hashable, CustomStringConvertible {
  /// The file as the caller named it, or `--set key` for a command-line override.
  package let source: String
  /// From 1; nil when the whole source is meant.
  package let line: Int?
  /// From 1, counted in Unicode scalars.
  package let column: Int?
  package let isOverride: Bool

  package init(source: String, line: Int? = nil, column: Int? = nil, isOverride: Bool = false) {
    self.source = source
    self.line = line
    self.column = column
    self.isOverride = isOverride
  }

  package var description: String {
    // A column within an override's own value would only puzzle: the argument is one short text.
    guard !isOverride, let line else { return source }
    guard let column else { return "\(source):\(line)" }
    return "\(source):\(line):\(column)"
  }
}
