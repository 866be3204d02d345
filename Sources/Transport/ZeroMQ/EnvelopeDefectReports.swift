extension MessageEnvelope.Defect {
  /// What the owner is told.
  func asError(peer: String, options: TransportOptions) -> TransportError {
    switch self {
    case .malformed, .version: .malformedMessage(peer: peer)
    case .frameCount(let count): .frameCount(count, maximum: options.maximumFrames)
    case .frameTooLarge(let bytes): .frameTooLarge(bytes: bytes, maximum: options.maximumFrameBytes)
    }
  }

  /// What the trainer reports.
  var asRefusal: Refusal.Reason {
    switch self {
    case .malformed, .version: .malformedMessage
    case .frameCount(let count): .frameCount(count)
    case .frameTooLarge(let bytes): .frameTooLarge(bytes: bytes)
    }
  }
}
