package import Foundations
import Glibc

/// What can go wrong between an owner and a server.
package enum TransportError: Failure, Equatable {
  /// No connection, or no room in the queue, for as long as was allowed.
  case unreachable(peer: String)
  /// The connection was lost, and what was under way with it; a new one is being tried.
  case peerGone(endpoint: String)
  /// The server does not admit this owner's key.
  case refused(endpoint: String, ownerKey: OwnerKey)
  /// The server has removed this owner's key from its list.
  case notAuthorized(OwnerKey)
  /// The other side ends the handshake as a program does that does not hold the pinned key.
  case serverKeyRejected(endpoint: String)
  /// The other side does not speak this protocol.
  case notAServer(endpoint: String)
  /// An owner listens, and all that have connected so far broke off: none holds the pinned key.
  case strangersOnly(endpoint: String)
  /// Not `tcp://HOST:PORT`.
  case invalidEndpoint(String)
  case cannotBind(endpoint: String, reason: String)
  /// A host that cannot be resolved, or is another machine.
  case notAnAddressHere(endpoint: String)
  case frameTooLarge(bytes: Int, maximum: Int)
  case frameCount(Int, maximum: Int)
  /// The peer is authentic, but sent what no program of this version sends.
  case malformedMessage(peer: String)
  /// Used after `close`.
  case closed
  /// Two threads used one end at the same time.
  case concurrentUse
  /// The operating system or libzmq refused what cannot fail for other reasons.
  case system(operation: String, code: Int32, reason: String)

  package var kind: FailureKind {
    switch self {
    case .unreachable, .peerGone, .notAServer, .strangersOnly: .unreachable
    case .refused, .notAuthorized: .refused
    case .serverKeyRejected: .keyOrPermission
    case .invalidEndpoint, .cannotBind, .notAnAddressHere: .usage
    case .frameTooLarge, .frameCount, .malformedMessage: .inputData
    case .closed, .concurrentUse: .defect
    case .system(_, let code, _): SystemCode.isExhaustion(code) ? .exhausted : .defect
    }
  }

  package var description: String {
    switch self {
    case .unreachable(let peer):
      "\(peer) cannot be reached or takes no more messages; check that it runs and that the address is right"
    case .peerGone(let endpoint):
      "the connection to \(endpoint) was lost; what was under way has to be sent again"
    case .refused(let endpoint, let ownerKey):
      "the server at \(endpoint) does not admit this owner's key; ask its operator to list \(ownerKey.z85)"
    case .notAuthorized(let key):
      "the owner \(key.prefix)… is no longer listed; add its key to the file of authorized keys to serve it again"
    case .serverKeyRejected(let endpoint):
      "\(endpoint) breaks off the handshake: most likely it does not hold the server key given; compare that file with "
        + "the server's own (trainer.pub of a trainer), and check that a server listens at this address"
    case .notAServer(let endpoint):
      "what listens at \(endpoint) is not a server of this version; check host and port"
    case .strangersOnly(let endpoint):
      "whoever connects to \(endpoint) breaks off the handshake: most likely not the server whose key was given; compare "
        + "that file with the server's own (trainer.pub of a trainer)"
    case .invalidEndpoint(let text):
      "'\(text)' is not an address; write tcp://HOST:PORT"
    case .cannotBind(let endpoint, let reason):
      "cannot listen at \(endpoint): \(reason); choose another address or end the program that uses it"
    case .notAnAddressHere(let endpoint):
      "cannot listen at \(endpoint): '\(EndpointAddress.host(of: endpoint))' cannot be resolved, or is no address of this machine; "
        + "0.0.0.0 listens at all of its addresses"
    case .frameTooLarge(let bytes, let maximum):
      "a frame of \(bytes) bytes exceeds the limit of \(maximum) bytes; raise the limit on both sides or send smaller parts"
    case .frameCount(let count, let maximum):
      "a message of \(count) frames, where 1 to \(maximum) are allowed"
    case .malformedMessage(let peer):
      "\(peer) sent a message that cannot be read; check that both sides run the same version"
    case .closed:
      "the connection has already been closed by this program"
    case .concurrentUse:
      "one connection was used by two threads at the same time"
    case .system(let operation, _, let reason):
      "\(operation) failed: \(reason)"
    }
  }
}

/// What error numbers of the operating system mean.
enum SystemCode {
  /// Disk, memory, quota or file descriptors used up.
  static func isExhaustion(_ code: Int32) -> Bool {
    [ENOSPC, EDQUOT, EFBIG, ENOMEM, EMFILE, ENFILE, ENOBUFS].contains(code)
  }

  static func text(_ code: Int32) -> String {
    String(cString: strerror(code))
  }
}
