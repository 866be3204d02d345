import Yams

/// A `key.path=value` argument of the command line.
///
/// The value is YAML, but a text key takes the argument as it stands unless it begins with a quote: a path may hold what
/// YAML gives a meaning. A section's path takes a mapping and replaces the section:
/// `data.split={by: abstract, modulo: 5, equals: 4}`.
struct JobOverride {
  private let path: String
  private let value: String
  private let location: SourceLocation

  init(_ argument: String) throws(JobSpecError) {
    guard let equals = argument.firstIndex(of: "="), equals != argument.startIndex else {
      throw JobSpecError(.malformedOverride, at: SourceLocation(source: "--set", isOverride: true))
    }
    path = String(argument[..<equals])
    value = String(argument[argument.index(after: equals)...])
    location = SourceLocation(source: "--set \(path.quotable)", isOverride: true)
  }

  func apply(to written: inout [String: WrittenValue]) throws(JobSpecError) {
    if let field = JobSchema.fields[path] {
      let isQuoted = value.hasPrefix("\"") || value.hasPrefix("'")
      if field.rule.isText, !isQuoted {
        guard let checked = field.rule.value(ofText: value) else {
          throw JobSpecError(.outOfRange(key: path, range: field.range), at: location)
        }
        written[path] = WrittenValue(value: checked, location: location)
      } else {
        let node = try node()
        let checked = try field.rule.value(of: node, key: path, source: location)
        written[path] = WrittenValue(value: checked, location: location)
      }
    } else if !path.isEmpty, JobSchema.sections.contains(path) {
      var reader = SpecificationReader(source: location)
      try reader.readSection(node(), path: path)
      written = written.filter { !$0.key.hasPrefix(path + ".") }.merging(reader.written) { _, new in new }
    } else {
      let parts = path.split(separator: ".", omittingEmptySubsequences: false)
      let section = parts.dropLast().joined(separator: ".")
      let known = JobSchema.sections.contains(section) ? section : ""
      throw JobSpecError(
        .unknownKey(
          path.quotable, suggestion: JobSchema.suggestion(for: parts.last.map(String.init) ?? "", in: known),
          known: JobSchema.children(of: known)), at: location)
    }
  }

  /// The value as YAML; nothing at all is an empty node, which every rule refuses by its type.
  private func node() throws(JobSpecError) -> Node {
    let document = try YAMLDocument(bytes: Array(value.utf8), source: location)
    return document.root ?? .scalar(Node.Scalar("", .implicit, .plain))
  }
}
