/// Where a federation stands, as the aggregator shows it; its JSON form is stable (`aggregator status --json`, and `sites.json` in the store).
package struct FederationStatus: Codable, Sendable, Equatable {
  package struct Site: Codable, Sendable, Equatable {
    package var name: String
    package var state: SiteState
    /// Since when, in ISO 8601.
    package var since: String
  }

  package enum SiteState: String, Codable, Sendable {
    /// There, with nothing to do.
    case connected
    /// At work on its vector, or sending it.
    case working
    /// Its part of this sum is done; or it holds the result.
    case done
    case away
  }

  package enum CodingKeys: String, CodingKey {
    case federation, stage, round, rounds, sites, result
    case sumsDone = "sums_done"
    case sums
    case waitingFor = "waiting_for"
  }

  package var federation: String
  /// What is under way, in words.
  package var stage: String
  /// Rounds that are done, of at most `rounds`.
  package var round: Int
  package var rounds: Int
  package var sumsDone: Int
  package var sums: Int
  /// Names of the sites that the present stage waits for.
  package var waitingFor: [String]
  /// In the charter's order.
  package var sites: [Site]
  /// Why the federation ended, and with which model, once it has.
  package var result: String?
}
