/// One key of a job specification with the Swift type it is read into.
struct JobField<Value: Sendable>: Sendable {
  enum Fallback {
    case required
    case value(Value)
    /// Worked out from other keys, or needed only beside others: in words.
    case derived(String)
  }

  let description: JobFieldDescription
  /// The documented default where it is a constant.
  let fallback: Value?
  let decode: @Sendable (JobValue) -> Value?

  var path: String { description.path }

  private init(
    _ path: String, _ rule: ValueRule, _ fallback: Fallback, _ meaning: String,
    text: (Value) -> String, decode: @escaping @Sendable (JobValue) -> Value?
  ) {
    let defaultText: String
    switch fallback {
    case .required:
      defaultText = "required"
      self.fallback = nil
    case .value(let value):
      defaultText = text(value)
      self.fallback = value
    case .derived(let words):
      defaultText = words
      self.fallback = nil
    }
    description = JobFieldDescription(path: path, defaultText: defaultText, meaning: meaning, rule: rule)
    self.decode = decode
  }
}

extension JobField where Value == Int {
  static func integer(
    _ path: String, _ range: ClosedRange<Int>, default fallback: Fallback, _ meaning: String
  ) -> JobField {
    JobField(path, .integer(range), fallback, meaning, text: { "\($0)" }) {
      if case .integer(let value) = $0 { value } else { nil }
    }
  }
}

extension JobField where Value == Double {
  static func number(_ path: String, _ range: NumberRange, default fallback: Fallback, _ meaning: String) -> JobField {
    JobField(path, .number(range), fallback, meaning, text: NumberText.shortest) {
      if case .number(let value) = $0 { value } else { nil }
    }
  }
}

extension JobField where Value == Double? {
  static func numberOrNone(
    _ path: String, _ range: NumberRange, default fallback: Fallback, _ meaning: String
  ) -> JobField {
    JobField(path, .numberOrNone(range), fallback, meaning, text: { $0.map(NumberText.shortest) ?? "none" }) {
      switch $0 {
      case .number(let value): .some(.some(value))
      case .none: .some(nil)
      default: nil
      }
    }
  }
}

extension JobField where Value == Bool {
  static func boolean(_ path: String, default fallback: Fallback, _ meaning: String) -> JobField {
    JobField(path, .boolean, fallback, meaning, text: { "\($0)" }) {
      if case .boolean(let value) = $0 { value } else { nil }
    }
  }
}

extension JobField where Value == String {
  static func text(_ path: String, _ rule: ValueRule, default fallback: Fallback, _ meaning: String) -> JobField {
    JobField(path, rule, fallback, meaning, text: { $0 }) {
      if case .text(let value) = $0 { value } else { nil }
    }
  }
}

extension JobField where Value == [Int] {
  static func integers(
    _ path: String, each: ClosedRange<Int>, count: ClosedRange<Int>, default fallback: Fallback, _ meaning: String
  ) -> JobField {
    JobField(path, .integers(each: each, count: count), fallback, meaning, text: { "\($0)" }) {
      if case .integers(let value) = $0 { value } else { nil }
    }
  }
}

extension JobField where Value == [String] {
  static func identifiers(
    _ path: String, maximum: Int, count: ClosedRange<Int>, default fallback: Fallback, _ meaning: String
  ) -> JobField {
    JobField(path, .identifiers(maximum: maximum, count: count), fallback, meaning, text: { "\($0)" }) {
      if case .texts(let value) = $0 { value } else { nil }
    }
  }
}

extension JobField where Value: CaseIterable & RawRepresentable, Value.RawValue == String {
  /// - Parameter choices: the values a job may give; every case unless said otherwise.
  static func choice(
    _ path: String, among choices: [Value] = Array(Value.allCases), default fallback: Fallback, _ meaning: String
  ) -> JobField {
    JobField(path, .choice(choices.map(\.rawValue)), fallback, meaning, text: \.rawValue) {
      if case .text(let value) = $0 { Value(rawValue: value) } else { nil }
    }
  }
}

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

/// A value of a job specification after its type and range were checked.
enum JobValue: Sendable, Equatable {
  case integer(Int)
  case number(Double)
  case boolean(Bool)
  case text(String)
  case integers([Int])
  case texts([String])
  /// An optional number that the job turns off by writing `none`.
  case none
}

/// The tree of keys that `JobFields` declares, and the nearest known key to an unknown one.
enum JobSchema {
  static let fields = Dictionary(uniqueKeysWithValues: JobFields.all.map { ($0.path, $0) })

  /// Paths of mappings: "data", "data.split" …; the empty path is the whole job.
  static let sections: Set<String> = Set(
    JobFields.all.flatMap { field in
      let parts = field.path.split(separator: ".")
      return (0..<parts.count).map { parts.prefix($0).joined(separator: ".") }
    })

  /// Sections that are asked for by being there: an empty one would silently ask for nothing.
  static let neverEmpty: Set<String> = ["masking.adapter", "masking.noise", "audit", "audit.gate"]

  /// The names directly below a section, in the order of the interface.
  static func children(of section: String) -> [String] {
    let prefix = section.isEmpty ? "" : section + "."
    var names: [String] = []
    for field in JobFields.all where field.path.hasPrefix(prefix) {
      let name = String(field.path.dropFirst(prefix.count).prefix { $0 != "." })
      if !names.contains(name) { names.append(name) }
    }
    return names
  }

  /// The key that was probably meant: the nearest sibling within a third of its length, else a key elsewhere with just
  /// this name, else nil.
  static func suggestion(for name: String, in section: String) -> String? {
    let prefix = section.isEmpty ? "" : section + "."
    let lowered = String(name.lowercased().prefix(64)).replacing("-", with: "_")
    let siblings = children(of: section).map {
      (path: prefix + $0, distance: EditDistance.between($0, lowered), name: $0)
    }
    let near = siblings.filter { $0.distance <= max(1, $0.name.count / 3) }
    if let nearest = near.min(by: { $0.distance < $1.distance }) { return nearest.path }
    let elsewhere = fields.keys.sorted() + sections.sorted()
    return elsewhere.first { $0.split(separator: ".").last.map(String.init) == lowered }
  }
}

/// How many single-character insertions, deletions, replacements or swaps of neighbours turn one word into another
/// (optimal string alignment).
enum EditDistance {
  static func between(_ left: String, _ right: String) -> Int {
    let a = Array(left.unicodeScalars)
    let b = Array(right.unicodeScalars)
    var beforeLast: [Int] = []
    var last = Array(0...b.count)
    for i in a.indices {
      var row = [i + 1]
      for j in b.indices {
        let replaced = last[j] + (a[i] == b[j] ? 0 : 1)
        var best = min(replaced, last[j + 1] + 1, row[j] + 1)
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, beforeLast[j - 1] + 1) }
        row.append(best)
      }
      beforeLast = last
      last = row
    }
    return last[b.count]
  }
}
