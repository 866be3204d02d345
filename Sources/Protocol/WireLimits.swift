package import Foundations

/// Caps that a parser applies before it allocates anything.
package struct WireLimits: Sendable, Equatable {
  /// Bytes of one tensor frame.
  package var tensorBytes: Int
  /// Bytes of a header frame, JSON body included.
  package var headerBytes: Int

  /// Characters of a reason, and of a name (of a program, a kernel, a metric), in their printable form.
  static let reasonLength = 2000
  static let nameLength = 80

  package init(tensorBytes: Int = 64 << 20, headerBytes: Int = 1 << 20) {
    self.tensorBytes = tensorBytes
    self.headerBytes = headerBytes
  }
}

/// What is wrong with a message or with a job as it came over the wire. Never holds values of a tensor.
package enum WireError: Failure, Equatable {
  /// Not of this protocol: bad magic, unknown kind, cut short, or with bytes left over.
  case malformed(String)
  /// The peer speaks another version.
  case version(theirs: Int)
  /// A size over the limits in force.
  case oversized(what: String, size: Int, limit: Int)
  /// A tensor of another type or shape than the message or the job needs.
  case misshapen(String)
  /// A number that cannot be: NaN or infinity.
  case notFinite(String)
  /// A well-formed message that does not fit the state of the job.
  case outOfOrder(String)
  /// A job description outside the documented ranges.
  case invalidJob(String)

  package var kind: FailureKind {
    switch self {
    case .version: .refused
    case .malformed, .oversized, .misshapen, .notFinite, .outOfOrder, .invalidJob: .refused
    }
  }

  package var description: String {
    switch self {
    case .malformed(let what): "malformed message: \(what)"
    case .version(let theirs):
      "the peer speaks wire version \(theirs), this program speaks \(WireVersion.oldest.rawValue) to "
        + "\(WireVersion.current.rawValue); install the same release on both sides"
    case .oversized(let what, let size, let limit): "\(what) of \(size) exceeds the limit of \(limit)"
    case .misshapen(let what): "misshapen tensor: \(what)"
    case .notFinite(let what): "\(what) holds NaN or infinity"
    case .outOfOrder(let what): "message out of order: \(what)"
    case .invalidJob(let what): "invalid job: \(what)"
    }
  }
}
