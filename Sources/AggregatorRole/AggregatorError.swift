package import Foundations

/// What is wrong at the aggregator, or with what a site says to it.
package enum AggregatorError: Failure, Equatable {
  /// A site's proposal, by what the aggregator serves.
  case otherCharter(name: String)
  /// The store holds a federation of another charter.
  case otherFederation(store: String)
  /// A file of the store is not what was written: what is wrong with it.
  case damaged(path: String, String)
  /// What has come of the starting model is not what was written.
  case damagedStart(path: String)
  /// What `status` shows is not what was written.
  case damagedStatus(path: String)
  /// What differs, of which site.
  case otherIntroduction(site: String, difference: String)
  /// A site's group key is not that of the others; `isStarted` once the starting model was made with theirs.
  case otherGroupKey(site: String, others: String, isStarted: Bool)
  /// A second program under a site's key, while the first is at work.
  case keyAtWork(site: String)
  /// What the first is told where it has not been heard of for so long that it counts as gone.
  case keyTaken(site: String)
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

  /// Whether the store holds what was not written.
  var isDamage: Bool {
    switch self {
    case .damaged, .damagedStart: true
    default: false
    }
  }

  package var kind: FailureKind {
    switch self {
    case .otherFederation: .usage
    case .damaged, .damagedStart, .damagedStatus: .inputData
    case .otherGroupKey: .keyOrPermission
    case .otherCharter, .otherIntroduction, .keyAtWork, .keyTaken, .notMasked, .unwanted, .noSuchModel, .notIntroduced,
      .mayNotEnd, .notDone:
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
    case .damagedStart(let path):
      "\(path) is not what was written: it is damaged; start the aggregator again on the same --store, which asks a site for the starting model anew"
    case .damagedStatus(let path):
      "\(path) is not what was written: it is damaged; the aggregator writes it anew when it is started, nothing else needs it"
    case .otherIntroduction(let site, let difference):
      "site \(site.printable(limit: 80)) does not fit the others: \(difference)"
    case .otherGroupKey(let site, let others, let isStarted):
      "site \(site.printable(limit: 80)) has another group key than \(others): compare the SHA-256 of group.key at all sites, and start again with "
        + "the right one, with --resume"
        + (isStarted
          ? "; the starting model was made with theirs: if theirs is the wrong one, begin anew, with a new --store at the aggregator and new run "
            + "directories at all sites" : "")
    case .keyAtWork(let site):
      "another program is at work under the key of site \(site.printable(limit: 80)): end that one first, or leave the site's part to it"
    case .keyTaken(let site):
      "another program under the key of site \(site.printable(limit: 80)) has come, and this one had said nothing for so long that it counts as gone: "
        + "see that one program alone runs under this key"
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
