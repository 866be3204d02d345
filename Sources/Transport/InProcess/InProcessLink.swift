/// One owner's connections to the trainer, one after another.
struct InProcessLink {
  let ownerKey: OwnerKey
  /// The connection in use; nil while there is none.
  var connection: UInt64?
  /// Whether a connection was lost and the owner has not been told.
  var lossPending = false
  var isClosed = false
  var isWoken = false
  var toOwner: [Message] = []
}
