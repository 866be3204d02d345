import Failures

package enum LineLogProblem: Equatable, Sendable, CustomStringConvertible {
  case lineBreakInLine
  /// From 1.
  case notUTF8(line: Int)
  case tooFewLines(kept: Int, asked: Int)

  var kind: FailureKind {
    switch self {
    case .lineBreakInLine: .defect
    case .notUTF8, .tooFewLines: .inputData
    }
  }

  package var description: String {
    switch self {
    case .lineBreakInLine: "a line to append holds a line break"
    case .notUTF8(let line): "line \(line) is not UTF-8 text; the file is damaged"
    case .tooFewLines(let kept, let asked): "has \(kept) lines where \(asked) were written; the file is damaged"
    }
  }
}
