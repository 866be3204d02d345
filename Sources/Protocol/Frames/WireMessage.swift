/// A family of messages in one direction: an enum whose cases have a kind each.
///
/// A role brings two families of its own, one for each direction. The kinds of `ConversationRequest` and `ConversationAnswer` are every
/// server's; a role's families take others.
package protocol WireMessage: Sendable {
  /// Takes fields and tensors of the envelope's kind, and ends with `OpenedEnvelope.finish`.
  ///
  /// - Throws: `WireError` for anything that is not exactly one message of this family.
  init(from envelope: inout OpenedEnvelope) throws(WireError)

  func envelope(for job: JobID) -> Envelope
}
