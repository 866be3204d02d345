/// A message together with the connection it came over.
package struct IncomingMessage: Sendable {
  package let peer: PeerID
  package let frames: Message

  package init(peer: PeerID, frames: Message) {
    self.peer = peer
    self.frames = frames
  }
}
