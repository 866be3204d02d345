import Foundation
import Foundations
import Numerics
import Protocol

/// A client's work at a host that may go away: waits for it, and says what became of the work where it ends early.
struct ClientConversation<Element: FloatingElement> {
  enum Event {
    case waiting(String)
    case lost(String)
    case back
  }

  let connection: TrainerConnection<Element>
  /// How long to wait for a host that is not there; nil ends with the connection, for a deployment that ends with it too.
  let patience: Duration?
  /// Where what is done is kept.
  let partial: String
  let isInterrupted: () -> Bool
  let observe: (Event) -> Void

  /// - Parameter work: over one connection; again from where it stopped over the next.
  /// - Throws: `OwnerError.refused`, `.trainerGone`, which say what is kept.
  func run(_ work: () throws -> Void) throws {
    do {
      guard let patience else { return try work() }
      let wait = TrainerWait(
        connection: connection, patience: patience, isInterrupted: isInterrupted,
        observe: { event in
          switch event {
          case .waitingForTrainer(let reason): observe(.waiting(reason))
          case .trainerLost(let reason): observe(.lost(reason))
          case .trainerBack: observe(.back)
          default: break
          }
        })
      try wait.greet(steps: 0)
      try wait.run(history: nil, work)
    } catch OwnerError.trainerGone(let reason) where patience != nil {
      throw OwnerError.trainerGone(
        "\(reason). What is answered is kept in \(partial): the same command goes on there")
    } catch OwnerError.refused(.exhausted, let reason) where patience != nil {
      throw OwnerError.refused(
        kind: .exhausted,
        reason: "\(reason). What is answered is kept in \(partial): the same command goes on there")
    } catch TransportError.refused {
      throw OwnerError.refused(
        kind: .refused,
        reason:
          "it does not let this client in; if the deployment was taken down, or the client withdrawn, its owner knows")
    } catch OwnerError.interrupted {
      throw OwnerError.trainerGone(
        "interrupted; what is answered is kept in \(partial): the same command goes on there")
    }
  }
}

/// Which file a client asks about: what is kept of its answers is of no other.
struct AskedFile: Codable, Equatable {
  let path: String
  let bytes: Int
  /// Its last change, in seconds since 1970.
  let changed: Double

  init(path: String, bytes: Int, changed: Double) {
    (self.path, self.bytes, self.changed) = (path, bytes, changed)
  }

  /// - Throws: `OwnerError.unfitData` for a file that cannot be looked at.
  init(_ path: String) throws(OwnerError) {
    var status = stat()
    guard stat(path, &status) == 0 else { throw .unfitData("\(path) cannot be looked at") }
    self.path = URL(filePath: path).standardizedFileURL.path
    bytes = Int(status.st_size)
    changed = Double(status.st_mtim.tv_sec) + Double(status.st_mtim.tv_nsec) / 1e9
  }
}
