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
