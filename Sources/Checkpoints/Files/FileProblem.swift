/// Why a file is not read though the system would let it.
package enum FileProblem: Equatable, Sendable, CustomStringConvertible {
  /// A named pipe, a device, a socket.
  case notRegular
  /// More bytes than any such file has.
  case tooLong(limit: Int)

  package var description: String {
    switch self {
    case .notRegular: "is not a regular file"
    case .tooLong(let limit): "is longer than \(limit) bytes, which it never is: it is damaged, or another file"
    }
  }
}
