package import Models

/// A job as wire version 2 described it, and as stores of that time hold it: with `model`, the name of a family and its sizes, in place of
/// `graph`. It is only read, never written, and becomes the job that an owner of today would describe, so that a job which was begun then can
/// be resumed.
package struct JobDescriptionVersion2: Sendable, Decodable {
  package let description: JobDescription

  private enum CodingKeys: CodingKey {
    case purpose, model, optimizer, schedule, lossLocation, task, epochs, stepsPerEpoch, batch, microBatch, keep,
      checkpointEverySteps, trainingRows, validationRows, totalTokens, privacy, correction, precision
  }

  /// - Throws: `GraphError` for a model that cannot be; `WireError.invalidJob` for what version 2 does not have; `DecodingError`.
  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    if container.contains(.privacy), try !container.decodeNil(forKey: .privacy) { throw WireError.privateStepsTooEarly }
    if container.contains(.correction), try !container.decodeNil(forKey: .correction) {
      throw WireError.correctedStepsTooEarly
    }
    if container.contains(.precision), try !container.decodeNil(forKey: .precision) {
      throw WireError.precisionTooEarly
    }
    func value<Value: Decodable>(_ key: CodingKeys, _: Value.Type = Value.self) throws -> Value {
      try container.decode(Value.self, forKey: key)
    }
    description = try JobDescription(
      purpose: value(.purpose), graph: value(.model, ModelDescription.self).graph(), optimizer: value(.optimizer),
      schedule: value(.schedule), lossLocation: value(.lossLocation),
      task: container.decodeIfPresent(LearningTask.self, forKey: .task), epochs: value(.epochs),
      stepsPerEpoch: value(.stepsPerEpoch), batch: value(.batch), microBatch: value(.microBatch), keep: value(.keep),
      checkpointEverySteps: value(.checkpointEverySteps), trainingRows: value(.trainingRows),
      validationRows: value(.validationRows), totalTokens: value(.totalTokens))
  }
}

/// A model as wire version 2 described it: a kind of model and its sizes.
package enum ModelDescription: Sendable, Equatable, Codable {
  /// Each row of the input is a sample.
  case mlp(MLPDescription)
  /// Each row of the input is a token; a sample has several.
  case transformer(TransformerDescription)
}

/// A multi-layer perceptron: linear layers with one activation between them and none after the last, and before them, where there is
/// an adapter, one linear layer without an activation.
package struct MLPDescription: Sendable, Equatable, Codable {
  /// The input row in homogeneous coordinates; the layer that reads it has no bias of its own.
  package let input: HomogeneousColumns
  /// Width of the adapter, a linear layer that stands between the input and "layers.0" and starts from a Gaussian; nil for none.
  package let adapter: Int?
  /// Widths of the hidden layers, first to last; empty for a linear model.
  package let hidden: [Int]
  package let activation: Activation
  package let outputs: Int

  package init(
    input: HomogeneousColumns, hidden: [Int], activation: Activation, outputs: Int, adapter: Int? = nil
  ) {
    self.input = input
    self.adapter = adapter
    self.hidden = hidden
    self.activation = activation
    self.outputs = outputs
  }
}

/// A transformer from its embedded tokens on: the blocks and the head, as the trainer is told them.
package struct TransformerDescription: Sendable, Equatable, Codable {
  package let family: TransformerFamily
  /// d: the width of a token vector, heads × headWidth for BERT.
  package let width: Int
  package let blocks: Int
  package let heads: Int
  /// Heads of keys and values; divides `heads` (grouped-query attention: Ainslie et al., 2023).
  package let keyValueHeads: Int
  package let headWidth: Int
  /// Width between the linear layers of a block's MLP.
  package let hidden: Int
  package let activation: Activation
  package let normEpsilon: Double
  /// Nil where positions are part of the embedding.
  package let rotary: RotaryDescription?
  /// Whether query, key, value and output projections have biases.
  package let hasAttentionBiases: Bool
  package let hasMLPBiases: Bool
  package let head: TransformerHead
  package let trained: TrainedPart
  /// Tokens of the longest sample, at least 1.
  package let maximumTokens: Int
  /// Whether only each block's input is kept for the backward pass, which then computes the block again.
  package let recomputes: Bool

  package init(
    family: TransformerFamily, width: Int, blocks: Int, heads: Int, keyValueHeads: Int, headWidth: Int, hidden: Int,
    activation: Activation, normEpsilon: Double, rotary: RotaryDescription?, hasAttentionBiases: Bool,
    hasMLPBiases: Bool, head: TransformerHead, trained: TrainedPart, maximumTokens: Int, recomputes: Bool
  ) {
    self.family = family
    self.width = width
    self.blocks = blocks
    self.heads = heads
    self.keyValueHeads = keyValueHeads
    self.headWidth = headWidth
    self.hidden = hidden
    self.activation = activation
    self.normEpsilon = normEpsilon
    self.rotary = rotary
    self.hasAttentionBiases = hasAttentionBiases
    self.hasMLPBiases = hasMLPBiases
    self.head = head
    self.trained = trained
    self.maximumTokens = maximumTokens
    self.recomputes = recomputes
  }
}

/// The layers after the last block of a transformer.
package struct TransformerHead: Sendable, Equatable, Codable {
  package let pooling: TokenPooling
  /// A dense layer of the model's width with tanh before the classifier, as BERT has for its first token.
  package let hasPooler: Bool
  /// Classes, label columns, or the vocabulary of a language model; at least 1.
  package let outputs: Int
  package let hasBias: Bool
  /// The checkpoint's own language-model head rather than a fresh classifier.
  package let isLanguageModel: Bool

  package init(pooling: TokenPooling, hasPooler: Bool, outputs: Int, hasBias: Bool, isLanguageModel: Bool) {
    self.pooling = pooling
    self.hasPooler = hasPooler
    self.outputs = outputs
    self.hasBias = hasBias
    self.isLanguageModel = isLanguageModel
  }
}

/// Which published architecture a transformer follows, with its parameter names.
package enum TransformerFamily: String, Sendable, Codable, CaseIterable {
  /// Post-norm encoder with LayerNorm, biases everywhere, attention over the whole sequence; positions are added at the owner.
  case bert
  /// Pre-norm decoder with RMSNorm, rotary positions, grouped-query causal attention and a gated MLP.
  case llama
}

extension ModelDescription {
  /// The graph of layers that the description means.
  ///
  /// - Throws: `GraphError` for sizes out of their ranges, and for settings that the family does not have.
  package func graph() throws(GraphError) -> ModelGraph {
    switch self {
    case .mlp(let mlp):
      try .perceptron(
        input: mlp.input, adapter: mlp.adapter, hidden: mlp.hidden, activation: mlp.activation, outputs: mlp.outputs)
    case .transformer(let transformer):
      switch transformer.family {
      case .bert: try transformer.encoderGraph()
      case .llama: try transformer.decoderGraph()
      }
    }
  }
}

extension TransformerDescription {
  private static var maxBlocks: Int { 1024 }

  private func sizes() throws(GraphError) -> TransformerSizes {
    guard (1...Self.maxBlocks).contains(blocks) else {
      throw .outOfRange("blocks", value: blocks, allowed: 1...Self.maxBlocks)
    }
    return try TransformerSizes(
      width: width, heads: heads, keyValueHeads: keyValueHeads, headWidth: headWidth, hidden: hidden,
      activation: activation, normEpsilon: normEpsilon, hasAttentionBiases: hasAttentionBiases,
      hasAttentionOutputBias: hasAttentionBiases, hasMLPBiases: hasMLPBiases, isRotary: rotary != nil)
  }

  private func builder(_ sizes: TransformerSizes) -> GraphBuilder {
    GraphBuilder(
      input: sizes.residual, maximumTokens: maximumTokens, rotaryFrequencies: rotary?.frequencies ?? [],
      trained: trained, recomputes: recomputes)
  }

  /// Whether the last block is computed for the pooled token alone: nothing after its keys and values mixes tokens.
  private func poolsToken(_ block: Int) -> Bool {
    block == blocks - 1 && (head.pooling == .cls || head.pooling == .last)
  }

  /// A BERT encoder from its embedded tokens on, with Hugging Face's parameter names.
  fileprivate func encoderGraph() throws(GraphError) -> ModelGraph {
    let sizes = try sizes()
    guard heads * headWidth == width else {
      throw .settings("\(heads) heads of width \(headWidth) are not \(width)")
    }
    guard keyValueHeads == heads else { throw .settings("BERT has as many heads of keys and values as of queries") }
    guard rotary == nil else { throw .settings("BERT has no rotary positions") }
    guard !head.isLanguageModel else { throw .settings("BERT models have no causal language-model head") }
    guard !head.hasPooler || head.pooling == .cls else {
      throw .settings("BERT's pooler reads the first token; pool: cls")
    }
    var builder = builder(sizes)
    var stream = GraphBuilder.input
    for block in 0..<blocks {
      let name = "bert.encoder.layer.\(block)"
      let names = PostNormBlockNames(
        pooling: "\(name).pooling", attention: "\(name).attention.self", query: "\(name).attention.self.query",
        key: "\(name).attention.self.key", value: "\(name).attention.self.value",
        attentionOutput: "\(name).attention.output.dense", attentionNorm: "\(name).attention.output.LayerNorm",
        inner: "\(name).intermediate.dense", outer: "\(name).output.dense", outputNorm: "\(name).output.LayerNorm")
      stream = builder.addPostNormBlock(block, names, sizes, from: stream, poolsToken: poolsToken(block))
    }
    if head.pooling == .mean { stream = builder.add("pooling", .mean(PoolingOperation(from: stream))) }
    if head.hasPooler {
      let pooled = SpaceID("pooled")
      builder.add(Space(id: pooled, width: width))
      stream = builder.addLinear("bert.pooler.dense", from: stream, to: pooled, hasBias: true, activation: .tanh)
    }
    builder.addHead("classifier", from: stream, outputs: head.outputs, hasBias: head.hasBias)
    return try builder.graph()
  }

  /// A Llama decoder from its embedded tokens on, with Hugging Face's parameter names.
  fileprivate func decoderGraph() throws(GraphError) -> ModelGraph {
    let sizes = try sizes()
    guard rotary != nil else { throw .settings("Llama needs rotary frequencies") }
    guard activation == .silu else {
      throw .settings("a gated MLP with \(activation.rawValue); silu is supported")
    }
    guard !head.hasPooler else { throw .settings("Llama has no pooler") }
    guard !head.isLanguageModel || head.pooling == .none else {
      throw .settings("a language model's head reads every token")
    }
    var builder = builder(sizes)
    var stream = GraphBuilder.input
    for block in 0..<blocks {
      let name = "model.layers.\(block)"
      let names = PreNormBlockNames(
        pooling: "\(name).pooling", attention: "\(name).self_attn", gating: "\(name).mlp",
        inputNorm: "\(name).input_layernorm", query: "\(name).self_attn.q_proj", key: "\(name).self_attn.k_proj",
        value: "\(name).self_attn.v_proj", attentionOutput: "\(name).self_attn.o_proj",
        attentionNorm: "\(name).post_attention_layernorm", gate: "\(name).mlp.gate_proj", up: "\(name).mlp.up_proj",
        down: "\(name).mlp.down_proj")
      stream = builder.addPreNormGatedBlock(block, names, sizes, from: stream, poolsToken: poolsToken(block))
    }
    stream = builder.addRootMeanSquareNorm("model.norm", from: stream, epsilon: normEpsilon)
    if head.pooling == .mean { stream = builder.add("pooling", .mean(PoolingOperation(from: stream))) }
    builder.addHead(
      head.isLanguageModel ? "lm_head" : "score", from: stream, outputs: head.outputs, hasBias: head.hasBias,
      isPretrained: head.isLanguageModel)
    return try builder.graph()
  }
}
