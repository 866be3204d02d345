import Yams

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
          path.quotable, suggestion: JobSchema.suggestion(for: key.string, in: section),
          known: JobSchema.children(of: section)), at: keyLocation)
    }
  }
}
