/// One key of a job specification, a charter or a site file with the Swift type it is read into.
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

  /// Where the key of one entry of a list was written: `sites[3].key` of the field `sites[].key`.
  func path(at index: Int) -> String { path.replacing("[]", with: "[\(index)]") }

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

extension JobField where Value == [Double] {
  static func numbers(
    _ path: String, each: NumberRange, count: ClosedRange<Int>, default fallback: Fallback, _ meaning: String
  ) -> JobField {
    JobField(
      path, .numbers(each: each, count: count), fallback, meaning,
      text: { "[\($0.map(NumberText.shortest).joined(separator: ", "))]" }
    ) {
      if case .numbers(let value) = $0 { value } else { nil }
    }
  }
}

extension JobField where Value == [String] {
  static func texts(
    _ path: String, maximum: Int, count: ClosedRange<Int>, default fallback: Fallback, _ meaning: String
  ) -> JobField {
    JobField(path, .texts(maximum: maximum, count: count), fallback, meaning, text: { "\($0)" }) {
      if case .texts(let value) = $0 { value } else { nil }
    }
  }

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

  /// Every key of a job as one Markdown table, in the order of the interface.
  package static var reference: String { SpecificationSchema.job.reference }

  /// The same key with other words: where another kind of document means something else by it.
  func saying(_ meaning: String, default defaultText: String? = nil) -> JobFieldDescription {
    JobFieldDescription(path: path, defaultText: defaultText ?? self.defaultText, meaning: meaning, rule: rule)
  }
}

/// A value of a specification after its type and range were checked.
enum JobValue: Sendable, Equatable {
  case integer(Int)
  case number(Double)
  case boolean(Bool)
  case text(String)
  case integers([Int])
  case numbers([Double])
  case texts([String])
  /// An optional number that the job turns off by writing `none`.
  case none
}
