import struct Foundation.Data

/// A multipart message as it came from a socket.
struct ReceivedMessage {
  /// Empty when there were more than allowed.
  let parts: [Data]
  /// How many there were.
  let partCount: Int
  /// Whose connection it came over, where admission is in force.
  let userID: String?
}
