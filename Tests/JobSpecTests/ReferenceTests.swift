import Foundation
import Testing

@testable import JobSpec

/// `docs/job-reference.md` holds the table that the schema makes.
@Suite struct JobReferenceTests {
  @Test func theDocumentedKeysAreThoseOfTheSchema() throws {
    try ReferenceDocument(name: "job-reference.md").check("keys", JobFieldDescription.reference)
  }
}

/// `docs/charter-reference.md` holds the tables of charters and site files.
@Suite struct CharterReferenceTests {
  private static let document = ReferenceDocument(name: "charter-reference.md")

  @Test func theDocumentedKeysAreThoseOfTheSchemas() throws {
    try Self.document.check("keys", SpecificationSchema.charter.reference)
    try Self.document.check("site keys", SpecificationSchema.site.reference)
  }

  /// The first block of YAML is a charter, the second a site's file.
  @Test func theExamplesAreAccepted() throws {
    let blocks = try Self.document.text().split(separator: "```").filter { $0.hasPrefix("yaml\n") }.map {
      $0.dropFirst(5)
    }
    try #require(blocks.count == 2)
    let charter = try CharterFixture.parse(String(blocks[0]))
    #expect(charter.sites.count >= 2)
    #expect(try CharterFixture.site(String(blocks[1]), of: charter).name == charter.sites[0].name)
  }
}

/// `jobs/federation/` holds a charter of each example and a file NAME-SITE.yaml of each of its sites.
@Suite struct FederationExampleTests {
  @Test(arguments: ["tcga-brca", "pbmc"]) func theExamplesAreAccepted(name: String) throws {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../jobs/federation")
      .standardizedFileURL.path
    let charter = try Charter.load(path: "\(folder)/\(name).yaml", files: .none).charter
    for site in charter.sites {
      let found = try SiteSpecification.load(
        path: "\(folder)/\(name)-\(site.name).yaml", charter: charter, checkFiles: false)
      #expect(found.name == site.name)
    }
  }
}

/// A document of the project with tables between comments: `<!-- keys -->` … `<!-- end of keys -->`.
private struct ReferenceDocument {
  let url: URL

  init(name: String) {
    url = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/\(name)").standardizedFileURL
  }

  func text() throws -> String { try String(contentsOf: url, encoding: .utf8) }

  /// With `WRITE_JOB_REFERENCE` set it writes the table first: `make job-reference`.
  func check(_ name: String, _ table: String) throws {
    var text = try text()
    let start = try #require(text.range(of: "<!-- \(name) -->\n")).upperBound
    let finish = try #require(text.range(of: "<!-- end of \(name) -->")).lowerBound
    try #require(start <= finish)
    if ProcessInfo.processInfo.environment["WRITE_JOB_REFERENCE"] != nil {
      text.replaceSubrange(start..<finish, with: table)
      try Data(text.utf8).write(to: url)
      return
    }
    #expect(text[start..<finish] == table, "run `make job-reference`")
  }
}
