import Datasets
import Files
import Foundation
import Foundations
import Masking
import OwnerRole
import TestSupport
import Testing

@testable import SiteRole

/// Whole federations of which one site cannot do its part: how it ends, and that nothing of what it could not do has left it.
@Suite struct BadSiteTests {
  /// How site 0 ended.
  private func failure(
    _ federation: SmallFederation, interruptions: SmallFederation.Interruptions = .init(),
    secrets: [PrivacySecret]? = nil
  ) throws -> any Failure {
    let results = try federation.run(secrets: secrets, interruptions: interruptions)
    guard case .failure(let error) = results[0] else { throw OwnerError.run("the site ended well") }
    let failure = error as? any Failure
    return try #require(failure, "\(error)")
  }

  /// Whose squares are beyond single precision, so that the first loss is; whose steps grow until outputs are.
  @Test(arguments: [1e30, 1e4])
  func `A site whose updates diverge ends with exit 7 and says what to lower, and sends none`(value: Double) throws {
    let federation = try SmallFederation(local: "{updates: 8}")
    try federation.write(0, changing: { rows in for row in rows.indices { rows[row][1] = value } })
    let error = try failure(federation)
    #expect(error.kind.exitCode == 7)
    #expect(error.description.contains("training diverged at step"), "\(error.description)")
    #expect(error.description.contains("optimizer.lr"), "\(error.description)")
    for site in federation.rows.indices { #expect(try SiteHistory(federation.runDirectory(site)).records.isEmpty) }
  }

  @Test(arguments: ["none", "site", "pooled"], [[1], [0, 1, 2]])
  func `Rows that are all NaN in one column, or in all, end a site by row and column`(
    standardize: String, columns: [Int]
  ) throws {
    let federation = try SmallFederation(standardize: standardize)
    try federation.write(
      0,
      changing: { rows in
        for row in rows.indices { for column in columns { rows[row][column] = .nan } }
      })
    let error = try failure(federation)
    #expect(error.kind == .inputData)
    // The file has the columns in the order 2, 0, 1, and is read row by row.
    let column = columns == [1] ? 2 : 0
    #expect(error.description.contains("row 0, column \(column) is NaN"), "\(error.description)")
    #expect(error.description.contains("site0.h5"), "\(error.description)")
    for site in federation.rows.indices { #expect(try SiteHistory(federation.runDirectory(site)).records.isEmpty) }
  }

  /// Files that a run cannot do without, of a private federation that has them all.
  static let files: [(name: String, file: @Sendable (SiteDirectory) -> URL)] = [
    ("ledger", { $0.ledger }), ("history", { $0.run.history }), ("sums", { $0.sums }),
  ]

  @Test(arguments: files.indices)
  func `A file of a run that cannot be written ends the site by its name, and once it can be the bits are the same`(
    index: Int
  ) throws {
    let federation = try PrivacyFixture.federation(unit: "site", rounds: 3)
    let secrets = federation.rows.indices.map(PrivacyFixture.secret)
    var undisturbed = federation
    undisturbed.place = "undisturbed-"
    for result in try undisturbed.run(secrets: secrets) { _ = try result.get() }

    let path = Self.files[index].file(federation.runDirectory(0)).path
    // A directory in the file's place, from the moment on that the first round is done.
    let obstruct: @Sendable (SiteEvent) -> Bool = { event in
      guard case .recorded = event else { return false }
      try? FileManager.default.moveItem(atPath: path, toPath: path + ".aside")
      try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
      return true
    }
    let error = try failure(federation, interruptions: .init(moments: [0: obstruct]), secrets: secrets)
    // Of what a ledger cannot be read for, a site says that nobody knows what is spent.
    #expect(index == 0 ? error is SiteError : error is FileError, "\(error)")
    #expect(error.description.contains(path), "\(error.description)")

    try FileManager.default.removeItem(atPath: path)
    try FileManager.default.moveItem(atPath: path + ".aside", toPath: path)
    for result in try federation.run(resuming: true) { _ = try result.get() }
    for site in federation.rows.indices {
      #expect(try federation.weights(site: site) == undisturbed.weights(site: site))
    }
    #expect(try PrivacyFixture.ledger(federation, site: 0).count == 4)
  }
}
