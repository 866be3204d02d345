/// A message on its way through an `InProcessNetwork`, for a test's fault hook.
package struct Transit: Sendable {
  package enum Direction: Sendable {
    case toTrainer
    case toOwner
  }

  package let direction: Direction
  /// The owner at the one end; the trainer is at the other.
  package let ownerKey: OwnerKey
  package let message: Message

  package init(direction: Direction, ownerKey: OwnerKey, message: Message) {
    self.direction = direction
    self.ownerKey = ownerKey
    self.message = message
  }
}
