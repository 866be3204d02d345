import Failures

package enum LineLogProblem: Equatable, Sendable, CustomStringConvertible {
  case lineBreakInLine
  /// From 1.
  case notUTF8(line: Int)
  case tooFewLines(kept: Int, asked: Int)
  /// The path of an open log leads nowhere any more.
  case gone
  /// It leads to another file.
  case replaced
  /// Somebody else has cut or lengthened the file. In bytes.
  case otherLength(written: Int, found: Int)

  var kind: FailureKind {
    switch self {
    case .lineBreakInLine: .defect
    case .notUTF8, .tooFewLines, .gone, .replaced, .otherLength: .inputData
    }
  }

  package var description: String {
    switch self {
    case .lineBreakInLine: "a line to append holds a line break"
    case .notUTF8(let line): "line \(line) is not UTF-8 text; the file is damaged"
    case .tooFewLines(let kept, let asked): "has \(kept) lines where \(asked) were written; the file is damaged"
    case .gone: "was moved away or removed while it was in use; put it back, or restart the program to begin a new one"
    case .replaced:
      "is another file than the one in use; put that one back, or restart the program to go on with the one that is there"
    case .otherLength(let written, let found):
      "has \(found) bytes where \(written) were written: something else has changed it while it was in use; put its content back, or "
        + "restart the program to go on with what is there"
    }
  }
}
