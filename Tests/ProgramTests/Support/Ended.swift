import Testing

/// What a program left behind.
struct Ended {
  let code: Int32
  let output: String
  let errors: String

  /// That it was refused as a person should be told: by the documented exit code, in one line that says all of `texts`, with nothing on standard
  /// output, and by a program that ended by itself.
  ///
  /// - Parameter afterProgress: the line may follow lines of progress.
  func expectRefusal(
    _ code: Int32, saying texts: String..., afterProgress: Bool = false, program: Program = .encryptor,
    location: SourceLocation = #_sourceLocation
  ) {
    let lines = errors.split(separator: "\n", omittingEmptySubsequences: false)
    let own = lines.filter { $0.hasPrefix("\(program.rawValue): ") }
    #expect(self.code == code, "\(errors)", sourceLocation: location)
    #expect(own.count == 1, "one line tells why: \(errors)", sourceLocation: location)
    #expect(lines.last == "" && lines.dropLast().last == own.first, "it is the last line", sourceLocation: location)
    if !afterProgress { #expect(lines.count == 2, "and the only one: \(errors)", sourceLocation: location) }
    for text in texts {
      #expect(own.first?.contains(text) == true, "\(own.first ?? "") lacks: \(text)", sourceLocation: location)
    }
    #expect(output == "", sourceLocation: location)
  }
}
