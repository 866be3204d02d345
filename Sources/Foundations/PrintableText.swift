extension StringProtocol {
  /// The text in one line that a terminal shows as it is: for everything that another program or a file says.
  ///
  /// Control characters, line breaks, blanks other than the space, and characters that are invisible or change the direction of
  /// the text become `\n`, `\t` or `\u{…}`. A text that is printable already stays as it is, so that applying this twice does no
  /// harm; hence a backslash is not escaped.
  ///
  /// - Parameter limit: Unicode scalars of the result; a longer text is cut and ends in `…`. At least 1.
  package func printable(limit: Int = 500) -> String {
    var result = String.UnicodeScalarView()
    var count = 0
    /// How much of the result leaves room for `…`.
    var kept = 0
    for scalar in unicodeScalars {
      // A mark that joins the character before it would join whatever is printed before this text.
      let escape = scalar.isPrintable && !(count == 0 && scalar.isMark) ? nil : scalar.escape.unicodeScalars
      let length = escape?.count ?? 1
      guard count + length <= limit else { return String(String.UnicodeScalarView(result.prefix(kept))) + "…" }
      if let escape { result.append(contentsOf: escape) } else { result.append(scalar) }
      count += length
      if count < limit { kept = count }
    }
    return String(result)
  }

  /// The text printable, its line breaks as they are: for what quotes the command line in several lines.
  package var printableLines: String {
    split(separator: "\n", omittingEmptySubsequences: false).map { $0.printable(limit: 4000) }.joined(separator: "\n")
  }

  /// A printable value of a log's field: in quotes unless it is one plain word, with quotes and backslashes escaped, so that no
  /// value can look like the end of its field and the beginning of another.
  package var logField: String {
    let text = printable(limit: 2000)
    let isWord = !text.isEmpty && !text.unicodeScalars.contains { $0 == " " || $0 == "\"" || $0 == "\\" }
    guard !isWord else { return text }
    var quoted = "\""
    for scalar in text.unicodeScalars {
      if scalar == "\"" || scalar == "\\" { quoted.unicodeScalars.append("\\") }
      quoted.unicodeScalars.append(scalar)
    }
    return quoted + "\""
  }
}

extension Unicode.Scalar {
  fileprivate var isMark: Bool {
    switch properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark: true
    default: false
    }
  }

  /// Whether it shows as itself, in its place, and does nothing else.
  fileprivate var isPrintable: Bool {
    if value < 0x7F { return value >= 0x20 }
    // An empty braille pattern looks like a blank.
    if properties.isDefaultIgnorableCodePoint || value == 0x2800 { return false }
    switch properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
      .spaceSeparator:
      return false
    default: return true
    }
  }

  fileprivate var escape: String {
    switch self {
    case "\n": "\\n"
    case "\r": "\\r"
    case "\t": "\\t"
    default: "\\u{" + String(value, radix: 16, uppercase: true) + "}"
    }
  }
}
