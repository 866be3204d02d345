package import Foundations

/// What is wrong at the aggregator, or with what a site says to it.
package enum AggregatorError: Failure, Equatable {
  /// A site's proposal, by what the aggregator serves.
  case otherCharter(name: String)
  /// The store holds a federation of another charter.
  case otherFederation(store: String)
  /// A file of the store is not what was written: what is wrong with it.
  case damaged(path: String, String)
  /// What `status` shows is not what was written.
  case damagedStatus(path: String)
  /// What differs, of which site.
  case otherIntroduction(site: String, difference: String)
  /// A message for masked sums in a federation without.
  case notMasked
  /// Why an upload is not taken.
  case unwanted(String)
  /// A model that is asked for and is not there, or a place outside of it.
  case noSuchModel(rounds: Int)
  case notIntroduced
  case mayNotEnd(site: String, federation: String)
  /// The result is not there yet.
  case notDone

  package var kind: FailureKind {
    switch self {
    case .otherFederation: .usage
    case .damaged, .damagedStatus: .inputData
    case .otherCharter, .otherIntroduction, .notMasked, .unwanted, .noSuchModel, .notIntroduced, .mayNotEnd, .notDone:
      .refused
    }
  }

  package var description: String {
    switch self {
    case .otherCharter(let name):
      "this aggregator serves the charter \(name.printable(limit: 80)), yours is another; compare the files: every byte counts"
    case .otherFederation(let store):
      "the store \(store) holds a federation of another charter; go on with that charter, or give this one a store of its own"
    case .damaged(let path, let what):
      "\(path) \(what): it is damaged; put back a copy with the content that was written last, or begin anew, with a new --store here and new "
        + "run directories at the sites"
    case .damagedStatus(let path):
      "\(path) is not what was written: it is damaged; the aggregator writes it anew when it is started, nothing else needs it"
    case .otherIntroduction(let site, let difference):
      "site \(site.printable(limit: 80)) does not fit the others: \(difference)"
    case .notMasked: "malformed message: sums are not masked in this federation"
    case .unwanted(let reason): "the upload is not taken: \(reason)"
    case .noSuchModel(let rounds): "there is no such piece of a model after \(rounds) rounds"
    case .notIntroduced: "message out of order: a site introduces itself on every connection first"
    case .mayNotEnd(let site, let federation):
      "site \(site.printable(limit: 80)) may not end the federation \(federation.printable(limit: 80)), which belongs to all its sites; "
        + "to leave it, end this site's program: the others go on where the charter lets them"
    case .notDone: "message out of order: the federation has no result yet"
    }
  }

  static let otherContent = "is not what was written (its hash differs)"
}
