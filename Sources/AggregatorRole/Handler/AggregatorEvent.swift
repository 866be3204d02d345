package import Federation

/// What an aggregator does, for its log; sites by their names in the charter.
package enum AggregatorEvent: Sendable {
  /// A site is here, and fits the others.
  case siteJoined(String)
  case siteAway(String)
  /// A second connection under a site's key: the first is let go of.
  case siteTwice(String)
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
