package import Foundation
package import Foundations
import Models
package import Protocol

/// `deployment.json`: what an owner has had hosted, or is about to. No secret in it; the keys are in files of their own.
///
/// It is written before anything of it is sent, so that a command that was killed is taken up by the next: what is in force at the host is
/// `inForce`, and what is to be in force `revision`.
package struct DeploymentRecord: Codable, Sendable, Equatable {
  /// The forms of the file that are read. The second states a precision, which a program that knows the first alone would pass over, and upload
  /// copies that compute in another; a deployment in float32 has the first.
  package static let versions = 1...2

  package struct Client: Codable, Sendable, Equatable {
    /// Also of its directory: 1 … 64 of a–z, A–Z, 0–9, `.`, `-` and `_`, not beginning with a dot.
    package var name: String
    /// The z85 form of its CURVE public key.
    package var key: String
    package var keyNumber: Int
    /// The key of that number, sealed for it. Kept, because sealed anew it would be another revision.
    package var package: Data
  }

  /// The masked weights under one key.
  package struct Copy: Codable, Sendable, Equatable {
    package var keyNumber: Int
    /// The job of purpose `.hosting`.
    package var job: JobID
    /// Whether the host has confirmed a revision with it.
    package var isHosted = false
  }

  package var version = versions.lowerBound
  package var id: JobID
  /// ZeroMQ endpoint and public key (z85) of the trainer.
  package var host: String
  package var hostKey: String
  /// Directory with owner.key, and its public half (z85).
  package var keys: String
  package var owner: String
  package var source: ModelSource
  package var shape: QuestionShape
  /// Of the model, by the host; nil where another has trained it, and of a deployment from before this was kept.
  package var training: HostTraining?
  /// Hash of the plaintext weights; nil of a record of before, until they were looked at.
  package var weights: String?
  package var separateKeys: Bool
  package var maximumRows: Int?
  package var revision: Int
  /// The revision that the host has confirmed; 0 for none.
  package var inForce: Int
  /// What the revision that is not in force yet changes, as the command that is to take it up says it, without the directory.
  package var change: String
  package var isTakenDown: Bool
  package var nextKeyNumber: Int
  /// The key that clients share; nil with separate keys, and once nobody has it.
  package var sharedKey: Int?
  package var copies: [Copy]
  package var clients: [Client]

  package var isPending: Bool { inForce < revision }

  package func client(named name: String) -> Client? { clients.first { $0.name == name } }

  /// The copies that some client is sent to.
  package var copiesInUse: [Copy] {
    let numbers = Set(clients.map(\.keyNumber))
    return copies.filter { numbers.contains($0.keyNumber) }
  }

  /// What the host is told.
  ///
  /// - Throws: `OwnerError.run` for a client without a copy, as only a damaged file has one.
  package func description() throws -> DeploymentDescription {
    DeploymentDescription(
      revision: revision,
      clients: try clients.map { client in
        guard let copy = copies.first(where: { $0.keyNumber == client.keyNumber }) else {
          throw OwnerError.run(
            "the deployment's record has no copy of the model for client \(client.name); it is damaged")
        }
        return DeploymentDescription.Client(
          key: client.key, copy: copy.job, keyNumber: client.keyNumber, package: client.package)
      }, maximumRows: maximumRows)
  }

  /// - Throws: `OwnerError.run` for a record that no version wrote so.
  func check() throws(OwnerError) {
    do throws(OwnerError) { try shape.check() } catch {
      throw .run("the deployment's record: \(error.description); put a copy of it back")
    }
    let counts = 1...(1 << 40)
    let numbers = 1..<max(1, nextKeyNumber)
    guard counts.contains(revision), counts.contains(nextKeyNumber), training?.isPossible ?? true, inForce >= 0,
      inForce <= revision, CurvePublicKey(z85: hostKey) != nil,
      CurvePublicKey(z85: owner) != nil, copies.allSatisfy({ numbers.contains($0.keyNumber) }),
      clients.allSatisfy({ ClientName.isOne($0.name) && CurvePublicKey(z85: $0.key) != nil }),
      clients.allSatisfy({ numbers.contains($0.keyNumber) })
    else { throw .run("the deployment's record contradicts itself; put a copy of it back") }
  }
}

/// Names of clients, which are names of directories too.
package enum ClientName {
  package static func isOne(_ text: String) -> Bool {
    let allowed = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")
    return (1...64).contains(text.count) && text.first != "." && text.allSatisfy(allowed.contains)
  }
}

/// A client to be let in.
package struct NewClient: Sendable, Equatable {
  package let name: String
  package let key: CurvePublicKey

  /// - Throws: `OwnerError.run` for a name that is none.
  package init(name: String, key: CurvePublicKey) throws(OwnerError) {
    guard ClientName.isOne(name) else {
      throw .run("a client's name has 1 … 64 letters a–z, digits, dots, dashes and underscores, and no dot in front")
    }
    self.name = name
    self.key = key
  }
}
