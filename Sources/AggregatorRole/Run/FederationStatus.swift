package import Federation

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

  /// Whether an aggregator can have written it.
  var isPossible: Bool {
    round >= 0 && round <= rounds && sumsDone >= 0 && sumsDone <= sums && !sites.isEmpty
  }
}

/// A store whose federation has its result, as it is found when it is opened.
package struct FinishedFederation: Sendable, Equatable {
  package let result: FederationResult
  /// Names of the sites that do not hold it yet.
  package let missing: [String]
}

/// What an aggregator does, for its log; sites by their names in the charter.
package enum AggregatorEvent: Sendable {
  /// A site is here, and fits the others.
  case siteJoined(String)
  case siteAway(String)
  /// A second connection under a site's key: the first is let go of.
  case siteTwice(String)
  /// A second program under a site's key is refused, since the first is at work.
  case secondRefused(String)
  /// A site's group key is not the others'.
  case otherGroupKey(site: String, reason: String)
  /// Keys go round for so many sums.
  case settingUp(sums: Int)
  case sumBegan(purpose: String, cohort: [String])
  /// A sum goes on without these sites.
  case goingOn(purpose: String, without: [String])
  case sumDone(SumRecord)
  /// The starting model is here, from this site; or a round has made the next one. The hash in hexadecimal.
  case modelMade(rounds: Int, hash: String, site: String?)
  case uploadDropped(site: String, reason: String)
  /// Nothing goes on until somebody comes; once a minute.
  case waiting(String)
  /// The store cannot be written, or holds what cannot be; it is tried again.
  case trouble(String)
  case result(FederationResult)
  case fetched(site: String)
  /// Somewhere something changed that a table of sites shows.
  case status(FederationStatus)
}
