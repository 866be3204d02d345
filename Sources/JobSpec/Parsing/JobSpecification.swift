import Foundations
import Yams

/// A job as it was written: the keys that were given, each of the right type and in range, before defaults.
///
/// Absent keys are nil; what must be there and what must agree is checked by `resolved`.
package struct JobSpecification: Sendable, Equatable {
  /// The text's name in error messages.
  package let source: String
  var written: [String: WrittenValue]

  /// Keys that were given, sorted.
  package var keys: [String] { written.keys.sorted() }

  /// Parses YAML text; nothing is read from the file system.
  ///
  /// - Parameters:
  ///   - bytes: any bytes, at most 1 MiB.
  ///   - source: how errors name the text, such as the file's path.
  ///   - overrides: `key.path=value` arguments, later ones first in rank; each replaces what the text says.
  /// - Throws: `JobSpecError` for the first thing that is wrong, with its line and column.
  package static func parse(
    bytes: [UInt8], source: String = "job", overrides: [String] = []
  ) throws(JobSpecError) -> JobSpecification {
    let location = SourceLocation(source: source)
    let document = try YAMLDocument(bytes: bytes, source: location)
    var reader = SpecificationReader(source: location)
    if let root = document.root { try reader.readSection(root, path: "") }
    for argument in overrides { try JobOverride(argument).apply(to: &reader.written) }
    if reader.written.isEmpty { throw JobSpecError(.empty, at: location) }
    return JobSpecification(source: source, written: reader.written)
  }

  subscript<Value>(field: JobField<Value>) -> Value? {
    written[field.path].flatMap { field.decode($0.value) }
  }

  func location(of path: String) -> SourceLocation {
    written[path]?.location ?? SourceLocation(source: source)
  }
}

/// A checked value and where it was written.
struct WrittenValue: Sendable, Equatable {
  let value: JobValue
  let location: SourceLocation
}

/// Walks a node tree along the schema and collects checked values.
struct SpecificationReader {
  let source: SourceLocation
  var written: [String: WrittenValue] = [:]

  init(source: SourceLocation) {
    self.source = source
  }

  /// - Parameter path: the section's dotted path, empty for the whole job. The recursion follows `JobSchema.sections`,
  ///   so its depth is the schema's.
  mutating func readSection(_ node: Node, path: String) throws(JobSpecError) {
    guard case .mapping(let mapping) = node else {
      let name = path.isEmpty ? "the job" : path
      throw JobSpecError(
        .wrongType(key: name, expected: "a mapping of keys", found: node.kindName), at: source.moved(to: node.mark))
    }
    guard mapping.tag.description == Tag.Name.implicit.rawValue else {
      throw JobSpecError(.explicitTag, at: source.moved(to: node.mark))
    }
    if mapping.isEmpty, JobSchema.neverEmpty.contains(path) {
      throw JobSpecError(.emptySection(path, known: JobSchema.children(of: path)), at: source.moved(to: node.mark))
    }
    for (keyNode, value) in mapping { try readEntry(keyNode, value, section: path) }
  }

  private mutating func readEntry(_ keyNode: Node, _ value: Node, section: String) throws(JobSpecError) {
    let keyLocation = source.moved(to: keyNode.mark)
    guard case .scalar(let key) = keyNode else { throw JobSpecError(.keyIsNotText, at: keyLocation) }
    let path = section.isEmpty ? key.string : section + "." + key.string
    // A dot inside a key would otherwise reach into another section.
    if !key.string.contains("."), let field = JobSchema.fields[path] {
      let checked = try field.rule.value(of: value, key: path, source: source)
      written[path] = WrittenValue(value: checked, location: source.moved(to: value.mark))
    } else if !key.string.contains("."), JobSchema.sections.contains(path) {
      try readSection(value, path: path)
    } else {
      throw JobSpecError(
        .unknownKey(
          path.printable(limit: 61), suggestion: JobSchema.suggestion(for: key.string, in: section),
          known: JobSchema.children(of: section)), at: keyLocation)
    }
  }
}

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
    location = SourceLocation(source: "--set \(path.printable(limit: 61))", isOverride: true)
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
          path.printable(limit: 61),
          suggestion: JobSchema.suggestion(for: parts.last.map(String.init) ?? "", in: known),
          known: JobSchema.children(of: known)), at: location)
    }
  }

  /// The value as YAML; nothing at all is an empty node, which every rule refuses by its type.
  private func node() throws(JobSpecError) -> Node {
    let document = try YAMLDocument(bytes: Array(value.utf8), source: location)
    return document.root ?? .scalar(Node.Scalar("", .implicit, .plain))
  }
}
