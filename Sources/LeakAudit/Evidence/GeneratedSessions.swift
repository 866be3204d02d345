import Families
import Foundation
import Masking
import Models
import Numerics
import OwnerRole
import Training

/// Texts that a masked model generates, some sessions side by side, and what its host sees of each step: drawn at a temperature as a client would by
/// the unmasked logits.
struct GeneratedSessions {
  private static let maxSessions = 8
  private static let tokensPerSession = 64
  private static let promptTokens = 16
  /// As `encryptor generate` draws unless told otherwise.
  private static let temperature = 0.7
  /// Of all sessions.
  static let maxSteps = maxSessions * tokensPerSession
  /// Elements of logits that are kept at most.
  static let maxLogits = 1 << 25

  let masked: GenerationView
  /// The same steps with nothing masked.
  let plain: GenerationView
  /// Of each step the chosen token's number among the masked outputs, and its id.
  let maskedChosen: [Int32]
  let chosen: [Int32]

  /// - Parameters:
  ///   - weights: masked under `keys`, as the host has them.
  ///   - prompts: as their first tokens are gone on from.
  ///   - end: no step begins after it; one is made in any case. Nil for no end.
  /// - Throws: `TrainingError`, `MaskingError`.
  init(
    _ model: AuditedModel, embedding: TokenEmbedding<Float>, keys: JobKeys<Float>, weights: [Tensor<Float>],
    prompts: [[Token]], until end: ContinuousClock.Instant?, compute: Compute
  ) throws {
    let hosted = try HostedModel<Float>(model.graph, compute: compute, parameters: weights)
    let capacity = min(model.graph.maximumTokens ?? 1, Self.promptTokens + Self.tokensPerSession)
    let starts = prompts.filter { !$0.isEmpty }.prefix(Self.maxSessions).map {
      Array($0.prefix(max(1, min(Self.promptTokens, capacity / 2))))
    }
    let caches = try starts.map { _ in try hosted.makeCache(capacity: capacity) }
    var next = starts
    var (logits, plainLogits, tokens, plainTokens) = (
      RowCollection(), RowCollection(), RowCollection(), RowCollection()
    )
    var ids: [Int32] = []
    let steps = min(
      Self.tokensPerSession, capacity - (starts.map(\.count).max() ?? capacity),
      Self.maxLogits / max(1, keys.plan.output.width * max(1, starts.count)))
    for step in 0..<max(0, steps) {
      if step > 0, let end, ContinuousClock().now >= end { break }
      let parts = try next.enumerated().map { session, tokens in
        (cache: caches[session], rows: try keys.maskInputs(embedding.vectors(tokens, workers: compute.workers)))
      }
      let outputs = try hosted.extend(parts)
      let plain = try keys.unmaskOutputs(outputs)
      let drawn = (0..<plain.rows).map { Self.draw(plain, row: $0) }
      next = zip(drawn, caches).map { [Token(id: $0, position: Int32($1.count))] }
      let vectors = embedding.vectors(next.flatMap { $0 }, workers: compute.workers)
      logits.append(outputs)
      plainLogits.append(plain)
      tokens.append(try keys.maskInputs(vectors))
      plainTokens.append(vectors)
      ids += drawn
    }
    let group = keys.plan.output.group
    masked = GenerationView(logits: logits.joined(), tokens: tokens.joined(), outputGroup: group)
    plain = GenerationView(logits: plainLogits.joined(), tokens: plainTokens.joined(), outputGroup: group)
    chosen = ids
    maskedChosen = group <= .permutation ? try keys.maskClasses(ids) : []
  }

  /// By Gumbel's trick: the largest of logit / temperature − ln(−ln u).
  private static func draw(_ logits: Tensor<Float>, row: Int) -> Int32 {
    var best = (token: 0, value: -Double.infinity)
    for token in 0..<logits.columns {
      let uniform = Double.random(in: Double.leastNormalMagnitude..<1)
      let value = Double(logits[row, token]) / temperature - log(-log(uniform))
      if value > best.value { best = (token, value) }
    }
    return Int32(best.token)
  }
}
