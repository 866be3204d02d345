import Testing

@testable import JobSpec

/// What several suites ask of the error that a job gives.
extension JobSpecError? {
  /// It says which type was due at its key and which came.
  func expectWrongType(_ expected: String, _ found: String, sourceLocation: Testing.SourceLocation = #_sourceLocation) {
    guard case .wrongType(_, let needed, let given)? = self?.reason else {
      Issue.record("\(String(describing: self))", sourceLocation: sourceLocation)
      return
    }
    #expect(needed == expected, sourceLocation: sourceLocation)
    #expect(given == found, sourceLocation: sourceLocation)
  }

  /// It states its key's range, which begins so, as the schema documents it.
  func expectOutOfRange(_ range: String, sourceLocation: Testing.SourceLocation = #_sourceLocation) {
    guard case .outOfRange(let key, let stated)? = self?.reason else {
      Issue.record("\(String(describing: self))", sourceLocation: sourceLocation)
      return
    }
    #expect(stated.hasPrefix(range), "\(stated)", sourceLocation: sourceLocation)
    #expect(stated == JobSchema.fields[key]?.range, sourceLocation: sourceLocation)
  }
}
