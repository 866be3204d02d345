package import Foundations

/// Why a sum cannot go on, or a message is refused. Never holds a secret or a value of a vector.
package enum SumError: Failure, Equatable {
  /// A charter that secure sums cannot serve.
  case roster(String)
  /// Bytes that are no message: unknown kind or version, cut short, too long, out of range.
  case malformed(String)
  /// A message made under another charter.
  case otherCharter
  /// A signature that does not verify, or sealed bytes that do not open: whose.
  case notAuthentic(String)
  /// A message that does not fit what went before.
  case outOfOrder(String)
  /// What one party says of another is not what is known of it.
  case inconsistent(String)
  /// Keys of a sum, or of a set-up, that were used before.
  case replayed(String)
  /// A cohort that no site may be part of.
  case cohort(String)
  /// The request names another model than this site has.
  case otherModel
  /// The request names another layout or form of numbers than this site has.
  case otherFormat
  /// Another request for a sum number that this site has used.
  case otherRequest(sum: UInt64)
  /// Other values for a sum whose masked vector has left already: the difference of the two would be in the clear.
  case otherValues(sum: UInt64)
  /// A list of survivors that no site may sign.
  case survivors(String)
  /// Another list of survivors than this site has signed.
  case otherSurvivors(sum: UInt64)
  /// Signatures that are too few or not all valid.
  case signatures(String)
  /// This site has given shares for it already, so that it must not be summed anew.
  case alreadyGiven(purpose: String)
  /// Too few answered to go on: who is missing.
  case waiting(missing: String, have: Int, need: Int)
  /// An upload after the survivors were declared.
  case late(site: String)
  /// A share may have been given, so that this sum must be finished with the survivors it has.
  case mustBeFinished(sum: UInt64)
  /// Shares that rebuild something else than what its site is committed to.
  case wrongShares(String)
  /// Vectors that are in the sum by its records, and that this process was not given.
  case vectorsMissing(String)
  /// No set-up, or all its keys are used.
  case noKeys
  /// The state could not be written: nothing was done.
  case storage(String)
  /// Bytes of a state that cannot be used.
  case state(String)
  /// This program's own use of it.
  case misuse(String)

  package var kind: FailureKind {
    switch self {
    case .roster: .usage
    case .malformed, .otherCharter, .notAuthentic, .outOfOrder, .inconsistent, .replayed, .cohort, .otherModel,
      .otherFormat,
      .otherRequest, .survivors, .otherSurvivors, .signatures, .alreadyGiven, .late, .mustBeFinished, .wrongShares:
      .refused
    case .otherValues, .state: .inputData
    case .waiting, .vectorsMissing: .unreachable
    case .storage: .exhausted
    case .noKeys, .misuse: .defect
    }
  }

  package var description: String {
    switch self {
    case .roster(let what): "the charter does not allow secure sums: \(what)"
    case .malformed(let what): "a malformed message of a secure sum: \(what)"
    case .otherCharter: "the other side has another charter; all parties need the same file, byte for byte"
    case .notAuthentic(let whose): "refused, it does not come from whom it should: \(whose)"
    case .outOfOrder(let what): "a message of a secure sum out of order: \(what)"
    case .inconsistent(let what): "refused, the other side contradicts itself: \(what)"
    case .replayed(let what): "refused, keys would be used twice: \(what)"
    case .cohort(let what): "refused, a cohort that the charter does not allow: \(what)"
    case .otherModel: "refused, the aggregator asks for an update of another model than this site has"
    case .otherFormat: "refused, the aggregator asks for another layout or fixed-point form than the charter's"
    case .otherRequest(let sum): "refused, sum \(sum) was asked for before in another way"
    case .otherValues(let sum):
      "the vector of sum \(sum) has left already with other values, and cannot be sent under the same masks; the aggregator must begin it again"
    case .survivors(let what): "refused, a list of survivors that cannot be right: \(what)"
    case .otherSurvivors(let sum): "refused, this site has signed another list of survivors of sum \(sum)"
    case .signatures(let what): "refused, the survivors are not signed as they must be: \(what)"
    case .alreadyGiven(let purpose): "refused, this site has opened a sum for \(purpose.printable(limit: 80)) already"
    case .waiting(let missing, let have, let need):
      "\(have) of \(need) that are needed have answered; missing: \(missing)"
    case .late(let site): "the upload of \(site) came after the survivors were declared and is not added"
    case .mustBeFinished(let sum):
      "sum \(sum) may have been opened in part and must be finished with the survivors it has"
    case .wrongShares(let what): "what the shares give is not what its site is committed to: \(what)"
    case .vectorsMissing(let names): "the masked vectors of \(names) must be read or sent again"
    case .noKeys: "no keys are left for another sum; a new set-up is needed"
    case .storage(let what): "the state of the sums could not be written, nothing was answered: \(what)"
    case .state(let what): "the state of the sums cannot be used: \(what)"
    case .misuse(let what): "a sum is used wrongly: \(what)"
    }
  }
}
