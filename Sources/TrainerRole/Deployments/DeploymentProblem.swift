import Files
import Foundation
import Foundations
import Service

/// Why a deployment in the store cannot be served.
struct DeploymentProblem: Sendable, Equatable {
  enum Kind: Sendable, Equatable {
    /// A file is not what was written, or is gone. Its owner mends it by deploying again.
    case damaged
    /// A file is of a version that this program does not read.
    case laterVersion(Int)
    /// The system does not let a file be used; what is in it may be whole.
    case inaccessible(FileError)
  }

  let kind: Kind
  let path: String

  init(_ kind: Kind, path: String) {
    self.kind = kind
    self.path = path
  }

  /// - Parameter error: of reading or writing `path`.
  init(_ error: FileError, path: String) {
    let isGone = if case .system(_, _, ENOENT) = error { true } else { false }
    self.init(isGone ? .damaged : .inaccessible(error), path: path)
  }

  /// Not the operator's directories.
  var fileName: String { path.split(separator: "/").last.map(String.init) ?? "a file" }

  /// Whether a new description by its owner may take the place of what is there.
  var isMendedByOwner: Bool { kind == .damaged }

  /// For the operator.
  var description: String {
    switch kind {
    case .damaged:
      "\(path) cannot be read, it is damaged or gone: the deployment answers no questions until its owner deploys it again"
    case .laterVersion(let version):
      "\(path) is of version \(version), which this trainer does not read: the deployment answers no questions; start a newer trainer"
    case .inaccessible(let error):
      "\(error.description): the deployment answers no questions until the trainer is started again and can use that file"
    }
  }

  /// For its clients and its owner.
  var refusal: ServiceError {
    switch kind {
    case .damaged: .damagedDeployment(fileName)
    case .laterVersion(let version):
      .refused(
        "this deployment is of a later version (\(fileName), version \(version)) than this trainer reads; ask the trainer's operator",
        cause: .damaged)
    case .inaccessible(let error):
      .refused(
        "the trainer cannot use a file of this deployment (\(fileName): \(error.descriptionForOthers))", cause: .damaged
      )
    }
  }
}

extension ServiceError {
  /// - Parameters:
  ///   - what: is damaged, as others may be told.
  ///   - detail: the same for the operator.
  static func damagedDeployment(_ what: String, detail: String? = nil) -> ServiceError {
    func text(_ what: String) -> String {
      "this deployment is damaged in the trainer's store (\(what)); ask its owner to deploy it again"
    }
    return ServiceError(.refused, text(detail ?? what), told: text(what), cause: .damaged)
  }
}
