/// An error a person caused or can act on: one clear sentence and the exit code it leads to.
///
/// Every module's own error type conforms; programs print `description` and exit with `kind.exitCode`. A description says
/// what is wrong, where, and what to do; it never holds a secret or a value of the data.
package protocol Failure: Error, CustomStringConvertible {
  var kind: FailureKind { get }

  /// The same as another party may be told: without what is this machine's own business, such as its paths.
  var descriptionForOthers: String { get }
}

extension Failure {
  package var descriptionForOthers: String { description }
}

/// The documented exit codes of both programs.
package enum FailureKind: Int32, Sendable, Codable {
  /// Bad usage or job specification.
  case usage = 2
  /// Bad input data: a file or a message whose content cannot be used.
  case inputData = 3
  /// A key file or permission problem.
  case keyOrPermission = 4
  /// The peer is unreachable or gone; the run can be resumed.
  case unreachable = 5
  /// Refused by the other side.
  case refused = 6
  /// A check failed (verify, audit).
  case checkFailed = 7
  /// Disk or memory exhausted.
  case exhausted = 8
  /// A defect of ours.
  case defect = 70

  package var exitCode: Int32 { rawValue }
}
