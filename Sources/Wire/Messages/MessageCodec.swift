package import Foundation
package import Tensors

/// Builds and parses messages of one element type under one set of limits.
package struct MessageCodec<Element: FloatingElement>: Sendable {
  package let limits: WireLimits

  package init(limits: WireLimits = WireLimits()) {
    self.limits = limits
  }

  package func frames(_ message: OwnerMessage<Element>, job: JobID) -> [Data] {
    message.envelope(for: job).frames
  }

  package func frames(_ message: TrainerMessage<Element>, job: JobID) -> [Data] {
    message.envelope(for: job).frames
  }

  /// - Throws: `WireError` for anything that is not exactly one message of an owner.
  package func ownerMessage(_ frames: [Data]) throws(WireError) -> (job: JobID, message: OwnerMessage<Element>) {
    var envelope = try OpenedEnvelope(frames, limits: limits)
    return (envelope.job, try OwnerMessage(from: &envelope))
  }

  /// - Throws: `WireError` for anything that is not exactly one message of a trainer.
  package func trainerMessage(_ frames: [Data]) throws(WireError) -> (job: JobID, message: TrainerMessage<Element>) {
    var envelope = try OpenedEnvelope(frames, limits: limits)
    return (envelope.job, try TrainerMessage(from: &envelope))
  }
}
