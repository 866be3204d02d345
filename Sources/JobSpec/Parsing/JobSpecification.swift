import Foundations
import Yams

/// A job, a charter or a site file as it was written: the keys that were given, each of the right type and in range, before
/// defaults.
///
/// Absent keys are nil; what must be there and what must agree is checked when it is resolved.
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
    let job = try parse(bytes: bytes, source: source, overrides: overrides, schema: .job)
    if job.written.isEmpty { throw JobSpecError(.empty, at: SourceLocation(source: source)) }
    return job
  }

  /// As above, for any kind of document; one without keys is taken, and then lacks what must be there.
  static func parse(
    bytes: [UInt8], source: String, overrides: [String], schema: SpecificationSchema
  ) throws(JobSpecError) -> JobSpecification {
    let location = SourceLocation(source: source)
    let document = try YAMLDocument(bytes: bytes, source: location)
    var reader = SpecificationReader(schema: schema, source: location)
    if let root = document.root { try reader.readSection(root, path: "") }
    for argument in overrides { try JobOverride(argument, schema: schema).apply(to: &reader.written) }
    return JobSpecification(source: source, written: reader.written)
  }

  subscript<Value>(field: JobField<Value>) -> Value? {
    written[field.path].flatMap { field.decode($0.value) }
  }

  /// The value in one entry of a list.
  subscript<Value>(field: JobField<Value>, at index: Int) -> Value? {
    written[field.path(at: index)].flatMap { field.decode($0.value) }
  }

  /// How many entries a list of mappings has; nil where it was not given.
  func count(ofList path: String) -> Int? {
    if case .integer(let count)? = written[path]?.value { count } else { nil }
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

/// Walks a node tree along the schema and collects checked values. A list of mappings is its count under its own path, and
/// the entries' values under paths with an index, `sites[3].key`.
struct SpecificationReader {
  let schema: SpecificationSchema
  let source: SourceLocation
  var written: [String: WrittenValue] = [:]

  init(schema: SpecificationSchema, source: SourceLocation) {
    self.schema = schema
    self.source = source
  }

  /// - Parameters:
  ///   - path: the section's dotted path in the schema, empty for the whole document. The recursion follows
  ///     `SpecificationSchema.sections`, so its depth is the schema's.
  ///   - place: the path with the indexes of lists; the same where there is none.
  mutating func readSection(_ node: Node, path: String, place: String? = nil) throws(JobSpecError) {
    guard case .mapping(let mapping) = node else {
      let name = path.isEmpty ? schema.document : path
      throw JobSpecError(
        .wrongType(key: name, expected: "a mapping of keys", found: node.kindName), at: source.moved(to: node.mark))
    }
    guard mapping.tag.description == Tag.Name.implicit.rawValue else {
      throw JobSpecError(.explicitTag, at: source.moved(to: node.mark))
    }
    if mapping.isEmpty, schema.neverEmpty.contains(path) {
      throw JobSpecError(.emptySection(path, known: schema.children(of: path)), at: source.moved(to: node.mark))
    }
    for (keyNode, value) in mapping { try readEntry(keyNode, value, section: path, place: place ?? path) }
  }

  private mutating func readEntry(
    _ keyNode: Node, _ value: Node, section: String, place: String
  ) throws(JobSpecError) {
    let keyLocation = source.moved(to: keyNode.mark)
    guard case .scalar(let key) = keyNode else { throw JobSpecError(.keyIsNotText, at: keyLocation) }
    let path = section.isEmpty ? key.string : section + "." + key.string
    let place = place.isEmpty ? key.string : place + "." + key.string
    // A dot or a bracket inside a key would otherwise reach into another section.
    let isPlain = !key.string.contains { $0 == "." || $0 == "[" }
    if isPlain, let field = schema.fields[path] {
      let checked = try field.rule.value(of: value, key: path, source: source)
      written[place] = WrittenValue(value: checked, location: source.moved(to: value.mark))
    } else if isPlain, schema.lists[path] != nil {
      try readList(value, path: path)
    } else if isPlain, schema.sections.contains(path) {
      try readSection(value, path: path, place: place)
    } else {
      throw JobSpecError(
        .unknownKey(
          path.printable(limit: 61), suggestion: schema.suggestion(for: key.string, in: section),
          known: schema.children(of: section)), at: keyLocation)
    }
  }

  mutating func readList(_ node: Node, path: String) throws(JobSpecError) {
    let location = source.moved(to: node.mark)
    guard case .sequence(let items) = node else {
      throw JobSpecError(
        .wrongType(key: path, expected: schema.range(ofList: path), found: node.kindName), at: location)
    }
    guard items.tag.description == Tag.Name.implicit.rawValue else { throw JobSpecError(.explicitTag, at: location) }
    guard let allowed = schema.lists[path], allowed.contains(items.count) else {
      throw JobSpecError(.outOfRange(key: path, range: schema.range(ofList: path)), at: location)
    }
    written[path] = WrittenValue(value: .integer(items.count), location: location)
    for (index, item) in items.enumerated() {
      try readSection(item, path: path + "[]", place: "\(path)[\(index)]")
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
  private let schema: SpecificationSchema

  init(_ argument: String, schema: SpecificationSchema) throws(JobSpecError) {
    self.schema = schema
    guard let equals = argument.firstIndex(of: "="), equals != argument.startIndex else {
      throw JobSpecError(.malformedOverride, at: SourceLocation(source: "--set", isOverride: true))
    }
    path = String(argument[..<equals])
    value = String(argument[argument.index(after: equals)...])
    location = SourceLocation(source: "--set \(path.printable(limit: 61))", isOverride: true)
  }

  func apply(to written: inout [String: WrittenValue]) throws(JobSpecError) {
    let isPlain = !path.isEmpty && !path.contains("[")
    if isPlain, let field = schema.fields[path] {
      written[path] = WrittenValue(value: try value(of: field), location: location)
    } else if isPlain, schema.lists[path] != nil {
      var reader = SpecificationReader(schema: schema, source: location)
      try reader.readList(node(), path: path)
      written = written.filter { !$0.key.hasPrefix(path + "[") }.merging(reader.written) { _, new in new }
    } else if isPlain, schema.sections.contains(path) {
      var reader = SpecificationReader(schema: schema, source: location)
      try reader.readSection(node(), path: path)
      written = written.filter { !$0.key.hasPrefix(path + ".") }.merging(reader.written) { _, new in new }
    } else {
      let parts = path.split(separator: ".", omittingEmptySubsequences: false)
      let section = parts.dropLast().joined(separator: ".")
      let known = schema.sections.contains(section) ? section : ""
      throw JobSpecError(
        .unknownKey(
          path.printable(limit: 61),
          suggestion: schema.suggestion(for: parts.last.map(String.init) ?? "", in: known),
          known: schema.children(of: known)), at: location)
    }
  }

  private func value(of field: JobFieldDescription) throws(JobSpecError) -> JobValue {
    let isQuoted = value.hasPrefix("\"") || value.hasPrefix("'")
    guard field.rule.isText, !isQuoted else {
      return try field.rule.value(of: node(), key: path, source: location)
    }
    guard let checked = field.rule.value(ofText: value) else {
      throw JobSpecError(.outOfRange(key: path, range: field.range), at: location)
    }
    return checked
  }

  /// The value as YAML; nothing at all is an empty node, which every rule refuses by its type.
  private func node() throws(JobSpecError) -> Node {
    let document = try YAMLDocument(bytes: Array(value.utf8), source: location)
    return document.root ?? .scalar(Node.Scalar("", .implicit, .plain))
  }
}
