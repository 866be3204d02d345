import Federation
import SecureSums

/// One sum over the sites after another, masked or not, as the run of a federation sees it. Sites go by their place in the charter, from 0.
/// Durable: what a method has taken is taken up again by the next process. Used by one thread at a time.
protocol Summation: AnyObject {
  var stage: SummationStage { get }

  /// Changes whenever sites that said nothing are to be told something else than before.
  var progress: String { get }

  /// The sum that is under way or waits to be finished.
  var current: SumTask? { get }

  /// The number that the sum which is begun next has; or, without keys for it, at least as high.
  var nextSum: UInt64 { get }

  /// Whether a sum of this purpose may have been opened, so that it cannot be begun again.
  func isOpened(_ purpose: SumPurpose) -> Bool

  /// Sites that can be in a cohort now.
  var readySites: [Int] { get }

  /// Sums that can be begun before `prepare` is due.
  var sumsLeft: Int { get }

  /// Sites whose answer is missing in this stage.
  var waitingFor: [Int] { get }

  /// What a connected site is to be told now, or again; nil for nothing.
  func due(for site: Int) -> AggregatorAnswer?

  /// A reply of a site's. What was had already is ignored.
  func receive(_ message: [UInt8], from site: Int) throws

  /// A whole upload of the current sum; the same call adds those again that `vectorsMissing` names after a restart.
  ///
  /// - Throws: for one that came too late, or is not what its header says; it is not added then.
  func receive(upload header: [UInt8], vector: UnsafeBufferPointer<UInt64>, from site: Int) throws

  /// Whether a site's upload of the current sum is still to come: it is asked for, or it counts and this process has not been given its vector.
  func wants(uploadOf site: Int) -> Bool

  /// Whether a site's upload is in the sum that others still work at.
  func has(uploadOf site: Int) -> Bool

  /// Uploads that count, and whose vectors this process has not been given.
  var vectorsMissing: [Int] { get }

  /// Goes on without those who are missing.
  ///
  /// - Returns: nil when it does; what has to be waited for where too few are there.
  func proceed() throws -> String?

  /// Has keys set up for so many sums, where keys are needed; replaces those that are left.
  func prepare(sums: Int) throws

  /// From `idle`, with a sum left: asks the sites of `cohort` for their vectors.
  func begin(_ purpose: SumPurpose, modelHash: [UInt8], cohort: [Int], format: VectorFormat) throws

  /// In `complete`: the sum. Changes nothing: what comes of it is stored, then `finish` is called.
  func result() throws -> SummationResult

  func finish() throws
}

enum SummationStage: String, Sendable, Equatable {
  case idle
  /// Keys for coming sums go round.
  case settingUp = "setting up keys"
  /// Sites are at work on their vectors.
  case uploading
  /// The sites agree on whose uploads are in the sum, and give what takes the masks away.
  case unmasking
  /// The sum can be had.
  case complete
}

/// Which attempt at which sum.
struct SumTask: Equatable, Sendable {
  let sum: UInt64
  let attempt: Int
  let purpose: String
  let cohort: [Int]
}

struct SummationResult {
  let task: SumTask
  /// Whose uploads are in it.
  let survivors: [Int]
  /// Modulo 2⁶⁴.
  let vector: [UInt64]
}
