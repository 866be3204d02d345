import Architecture
package import JobSpec

/// What an owner must be told of a job before anything of it is sent.
package enum SendingNotices {
  /// A sentence each, without a full stop; none for a job of which there is nothing to say.
  package static func of(_ job: ResolvedJob) -> [String] {
    var notices: [String] = []
    if job.masking.baseModel == .public, job.masking.strength != .none {
      notices.append(
        "masking.base_model is public: a provider that has the checkpoint can work the residual key out from the masked weights, and with "
          + "it every token; masking then hides the text only from a provider that does not look")
    }
    if let sigma = job.masking.noise {
      notices.append(
        "masking.noise: every input value is sent with secret noise of deviation \(sigma), the same each time; training is exact for the "
          + "noised rows, not for the clean ones, and validation metrics are of noised rows")
    }
    return notices
  }
}
