extension ModelDescription {
  /// The graph of layers that the description stands for.
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
