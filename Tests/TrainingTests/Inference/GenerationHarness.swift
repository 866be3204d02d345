import Models
import Numerics
import Protocol

@testable import Training

/// Small decoders of every kind that can generate, and sessions of noise.
struct GenerationHarness<Element: FloatingElement> {
  static var width: Int { 32 }
  static var outputs: Int { 11 }

  let graph: ModelGraph
  let hosted: HostedModel<Element>

  init(
    _ decoder: Decoder, maximumTokens: Int = 600, threads: Int = 2, seed: Int = 1,
    precision: ProductPrecision = .full
  ) throws {
    graph = try decoder.graph(width: Self.width, outputs: Self.outputs, maximumTokens: maximumTokens)
    hosted = try HostedModel(
      graph, compute: Compute(workers: Workers(threads: threads), precision: precision),
      parameters: Self.parameters(graph, seed: seed))
  }

  /// Of deviation about 1/√inputs, so that attention and gates have something to do; biases and norms' parameters of up to 1.
  static func parameters(_ graph: ModelGraph, seed: Int = 1) -> [Tensor<Element>] {
    Model(graph).structure.parameters.enumerated().map { index, parameter in
      let scale = parameter.shape.count > 1 ? (3 / Double(parameter.shape[1])).squareRoot() : 1
      return Tensor(
        LayerHarness.noise(parameter.shape.reduce(1, *), seed: UInt64(1000 * seed + index)).map { Element(scale * $0) },
        shape: parameter.shape)
    }
  }

  /// The inputs of a session, `[tokens, width]`.
  static func session(_ number: Int, tokens: Int) -> Tensor<Element> {
    Tensor(
      LayerHarness.noise(tokens * width, seed: UInt64(77 + number)).map { Element(2 * $0) }, shape: [tokens, width])
  }

  /// Outputs of every token of a session by one whole pass.
  func whole(_ session: Tensor<Element>) throws -> Tensor<Element> {
    try hosted.infer(rows: 1, sequences: SequenceLayout(offsets: [0, session.rows], pooled: [])) { target in
      session.withUnsafeBufferPointer { _ = target.update(fromContentsOf: $0) }
    }
  }

  /// Outputs of the last token of each part of a session that is added to a fresh cache piece by piece.
  func extended(_ session: Tensor<Element>, by lengths: [Int]) throws -> (outputs: [Tensor<Element>], ends: [Int]) {
    let cache = try hosted.makeCache(capacity: session.rows)
    var (outputs, ends): ([Tensor<Element>], [Int]) = ([], [])
    var first = 0
    for length in lengths {
      outputs.append(try hosted.extend([(cache, session.slice(rows: first..<first + length))]))
      first += length
      ends.append(first - 1)
    }
    return (outputs, ends)
  }

  /// The largest difference as a share of the largest of `expected`.
  static func difference(_ found: Tensor<Element>, _ expected: Tensor<Element>) -> Double {
    guard found.count == expected.count, found.allFinite, expected.allFinite else { return .infinity }
    let largest = expected.elements.map { Double(abs($0)) }.max() ?? 0
    return (zip(found.elements, expected.elements).map { Double(abs($0 - $1)) }.max() ?? 0) / largest
  }

  /// A logit comes of some 30 products of at most 64 terms and of attention over some hundred keys, each off by a few roundings of its largest
  /// term; the same sums in another order differ by less than 100 roundings of the largest logit: 6e-6 and 1.1e-14. Far below what the task allows
  /// in double precision.
  static var bound: Double { 100 * Double(Element.ulpOfOne) / 2 }
}

/// The kinds of decoders.
enum Decoder: String, CaseIterable, Sendable {
  case groupedHeads, manyHeads, oneKeyHead, oneBlock, biases, lowRank
  /// LayerNorm, GELU, positions in the embedding.
  case withoutRotary

  func graph(width: Int, outputs: Int, maximumTokens: Int) throws -> ModelGraph {
    if self == .withoutRotary { return try plain(width, outputs, maximumTokens) }
    let keyValueHeads = self == .manyHeads ? 4 : self == .oneKeyHead ? 1 : 2
    let targets = ["q_proj", "v_proj", "down_proj", "lm_head"]
    return try ModelDescription.transformer(
      TransformerDescription(
        family: .llama, width: width, blocks: self == .oneBlock ? 1 : 2, heads: 4, keyValueHeads: keyValueHeads,
        headWidth: width / 4, hidden: 48, activation: .silu, normEpsilon: 1e-5,
        rotary: RotaryDescription(frequencies: (0..<width / 8).map { 1 / Double(1 << (3 * $0)) }),
        hasAttentionBiases: self == .biases, hasMLPBiases: self == .biases,
        head: TransformerHead(
          pooling: .none, hasPooler: false, outputs: outputs, hasBias: false, isLanguageModel: true),
        trained: self == .lowRank ? .lora(LowRankAdaptation(rank: 3, alpha: 6, targets: targets)) : .all,
        maximumTokens: maximumTokens, recomputes: false)
    ).graph()
  }

  private func plain(_ width: Int, _ outputs: Int, _ maximumTokens: Int) throws -> ModelGraph {
    let sizes = try TransformerSizes(
      width: width, heads: 4, keyValueHeads: 4, headWidth: width / 4, hidden: 48, activation: .gelu, normEpsilon: 1e-5,
      hasAttentionBiases: true, hasAttentionOutputBias: true, hasMLPBiases: true, isRotary: false)
    var builder = GraphBuilder(input: sizes.residual, maximumTokens: maximumTokens)
    var stream = GraphBuilder.input
    for block in 0..<2 {
      let names = AttentionNames(
        attention: "\(block).attention", query: "\(block).query", key: "\(block).key", value: "\(block).value",
        output: "\(block).output")
      let normed = builder.addLayerNorm("\(block).norm", from: stream, epsilon: sizes.normEpsilon)
      stream = builder.addAttention(
        block, names, sizes, queriesFrom: normed, keysFrom: normed, addedTo: stream, isCausal: true)
      let between = builder.addLayerNorm("\(block).between", from: stream, epsilon: sizes.normEpsilon)
      let hidden = Space(id: SpaceID("layers.\(block).hidden"), width: sizes.hidden)
      builder.add(hidden)
      let inner = builder.addLinear(
        "\(block).inner", from: between, to: hidden.id, hasBias: true, activation: .gelu)
      stream = builder.addLinear(
        "\(block).outer", from: inner, to: sizes.residual.id, hasBias: true, residual: stream)
    }
    builder.addHead("head", from: stream, outputs: outputs, hasBias: false, isPretrained: true)
    return try builder.graph()
  }
}
