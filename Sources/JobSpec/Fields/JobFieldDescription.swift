/// What a person needs to know of one key; `--help`, the reference and the parser's checks all read it.
package struct JobFieldDescription: Sendable {
  /// Dotted: "optimizer.lr".
  package let path: String
  /// Type and range in words: "an integer from 1 to 100000".
  package var range: String { rule.documentation }
  /// The default as it would be written, how it is derived, or "required".
  package let defaultText: String
  package let meaning: String

  let rule: ValueRule

  /// A line for a list of keys.
  package var line: String { "\(path): \(range); default: \(defaultText). \(meaning)" }

  /// Every key as one Markdown table, in the order of the interface.
  package static var reference: String {
    let rows = JobFields.all.map { "| `\($0.path)` | \($0.range) | \($0.defaultText) | \($0.meaning) |" }
    return (["| key | type and range | default | meaning |", "|---|---|---|---|"] + rows).joined(separator: "\n") + "\n"
  }
}
