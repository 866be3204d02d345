package import Foundations

/// Why a site's part in a federation ends without its result, beside what its data, its job and its connection can be wrong about.
package enum SiteError: Failure, Equatable {
  /// The aggregator refused something; `kind` is its exit code for it.
  case refused(kind: FailureKind, reason: String)
  /// The aggregator cannot be reached, or stopped.
  case aggregatorGone(String)
  /// The provider that trains for the site refused something.
  case providerRefused(kind: FailureKind, reason: String)
  /// The provider that trains for the site cannot be reached, or stopped.
  case providerGone(String)
  /// Ctrl-C; everything is saved.
  case interrupted
  /// The starting model is not what the charter and this site's group key give.
  case otherStart
  /// What the aggregator sent is not what it said that it would be, or asks for what no honest one asks for.
  case aggregatorLies(String)
  /// The charter asks for what a site of this version does not do.
  case unsupported(String)
  /// The run directory is of another federation, or of another site of it.
  case otherRun(String)
  /// The charter needs a group key, or the one given is for nothing.
  case groupKey(String)
  /// A file of the run directory is gone, or not what was written: what is wrong with it, and what to do.
  case damaged(path: String, String)
  /// The charter's privacy cannot be kept here, or what was kept of it does not fit together.
  case privacy(String)

  package var kind: FailureKind {
    switch self {
    case .refused(let kind, _), .providerRefused(let kind, _): kind == .usage || kind == .defect ? .refused : kind
    case .aggregatorGone, .providerGone, .interrupted: .unreachable
    case .otherStart, .groupKey: .keyOrPermission
    case .aggregatorLies: .refused
    case .damaged: .inputData
    case .unsupported, .otherRun, .privacy: .usage
    }
  }

  package var description: String {
    switch self {
    case .refused(_, let reason): "the aggregator refuses: \(reason)"
    case .aggregatorGone(let what): what
    case .providerRefused(_, let reason): "the provider (trainer:) refuses: \(reason)"
    case .providerGone(let what): "\(what). Everything is saved here: continue with --resume"
    case .interrupted: "interrupted; everything is saved, go on with --resume"
    case .otherStart:
      "the starting model of the federation is not what the charter and this site's group key give: some site has another group key, or the "
        + "same checkpoint with other weights; compare the SHA-256 of group.key at all sites. A federation that began with the wrong one must "
        + "begin anew, with a new --store at the aggregator and new run directories at all sites"
    case .aggregatorLies(let what): "\(what); nothing more was sent to this aggregator"
    case .unsupported(let what), .otherRun(let what), .groupKey(let what): what
    case .damaged(let path, let what): "\(path) \(what)"
    case .privacy(let what): "federation.privacy: \(what)"
    }
  }
}
