/// A multipart message as it came from a socket.
struct ReceivedMessage {
  /// Empty when there were more than allowed.
  let frames: Message
  /// How many there were.
  let frameCount: Int
  /// Whose connection it came over, where admission is in force.
  let userID: String?
}
