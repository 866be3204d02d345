/// What a finished generation has shown.
package struct GenerationReport: Sendable, Codable, Equatable {
  package var rows: Int
  /// New tokens of all texts.
  package var tokens: Int
  /// Texts that end with an end token.
  package var finished: Int
  package var seconds: Double
  /// Of this process: fewer than `tokens` where an earlier one had some already.
  package var tokensGenerated: Int
  /// Tokens that the host has seen of this model under all its keys, and how many it may see.
  /// The first is nil where the host was not asked.
  package var rowsSeen: Int?
  package var maximumRows: Int?
  package var keyNumber: Int
  /// Nil where nothing is drawn.
  package var seed: Int?
}

/// What is to be generated.
package struct GenerationRequest: Sendable {
  /// Path of the file of prompts, and of the token ids in it if they are not where the training data had them.
  package let prompts: String
  package let features: String?
  /// New tokens of a text; nil for 64, or as many as the deployment leaves room for.
  package let mostTokens: Int?
  package let sampling: TokenSampling
  /// 0 … 2⁵³ − 1; nil for that of the texts that are gone on with, or a new one.
  package let seed: Int?
  /// Texts that are under way together, at least 1; as many as the host's window where that is smaller.
  package let textsAtOnce: Int

  /// - Throws: `OwnerError.run` for numbers that are out of their ranges.
  package init(
    prompts: String, features: String?, mostTokens: Int?, sampling: TokenSampling, seed: Int?, textsAtOnce: Int = .max
  ) throws(OwnerError) {
    if let mostTokens, !(1...(1 << 24)).contains(mostTokens) { throw .run("--max-tokens must be 1 … \(1 << 24)") }
    if let seed, !(0..<(1 << 53)).contains(seed) { throw .run("--seed must be 0 … 2^53 − 1") }
    self.prompts = prompts
    self.features = features
    self.mostTokens = mostTokens
    self.sampling = sampling
    self.seed = seed
    self.textsAtOnce = max(1, textsAtOnce)
  }
}
