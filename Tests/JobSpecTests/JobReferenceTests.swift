import Foundation
import Testing

@testable import JobSpec

/// `docs/job-reference.md` holds the table that the schema makes.
@Suite struct JobReferenceTests {
  private static let document = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../docs/job-reference.md").standardizedFileURL
  private static let begin = "<!-- keys -->\n"
  private static let end = "<!-- end of keys -->"

  /// With `WRITE_JOB_REFERENCE` set it writes the table first: `make job-reference`.
  @Test func theDocumentedKeysAreThoseOfTheSchema() throws {
    var text = try String(contentsOf: Self.document, encoding: .utf8)
    let start = try #require(text.range(of: Self.begin)).upperBound
    let finish = try #require(text.range(of: Self.end)).lowerBound
    try #require(start <= finish)
    if ProcessInfo.processInfo.environment["WRITE_JOB_REFERENCE"] != nil {
      text.replaceSubrange(start..<finish, with: JobFieldDescription.reference)
      try Data(text.utf8).write(to: Self.document)
      return
    }
    #expect(text[start..<finish] == JobFieldDescription.reference, "run `make job-reference`")
  }
}
