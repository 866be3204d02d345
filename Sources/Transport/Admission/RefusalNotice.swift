import Foundation

/// What the trainer's end says to a connection whose key has been taken off the list, because libzmq offers no way to end one
/// peer's connection. The owner's end turns it into `TransportError.refused`.
enum RefusalNotice {
  static let message: Message = [Data("equivariant-trainer: key no longer listed".utf8)]
}
