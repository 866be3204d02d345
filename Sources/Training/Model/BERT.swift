import Models

extension Model {
  /// A BERT encoder from its embedded tokens on (Devlin et al., BERT, 2019), with Hugging Face's parameter names.
  ///
  /// A block is x₁ = norm(x + attention(x)), x₂ = norm(x₁ + W₂ f(W₁ x₁)), post-norm. Where one token of a sample is pooled, the
  /// last block is computed for that token alone after its keys and values, which changes no result.
  init(bert description: TransformerDescription) throws(TrainingError) {
    try description.validate()
    guard description.queryWidth == description.width else {
      throw .invalidModel("\(description.heads) heads of width \(description.headWidth) are not \(description.width)")
    }
    guard description.keyValueHeads == description.heads else {
      throw .invalidModel("BERT has as many heads of keys and values as of queries")
    }
    guard description.rotary == nil else { throw .invalidModel("BERT has no rotary positions") }
    guard !description.head.isLanguageModel else {
      throw .invalidModel("BERT models have no causal language-model head")
    }
    guard !description.head.hasPooler || description.head.pooling == .cls else {
      throw .invalidModel("BERT's pooler reads the first token; pool: cls")
    }
    var builder = TransformerBuilder(description)
    var stream = 0
    for block in 0..<description.blocks {
      stream = builder.addBlock { $0.addBERTBlock(block, from: stream) }
    }
    if description.head.pooling == .mean { stream = builder.addMean("pooling", from: stream) }
    if description.head.hasPooler {
      builder.addSpace(SpaceID("pooled"), width: description.width)
      stream = builder.addLinear(
        "bert.pooler.dense", from: stream, to: SpaceID("pooled"), hasBias: true, activation: .tanh)
    }
    builder.addHead("classifier", from: stream)
    self = try builder.model()
  }
}

extension TransformerBuilder {
  fileprivate mutating func addBERTBlock(_ block: Int, from input: Int) -> Int {
    let name = "bert.encoder.layer.\(block)"
    let isPruned = block == description.blocks - 1 && description.prunesLastBlock
    let stream = isPruned ? addSelection("\(name).pooling", from: input) : input
    let spaces = addAttentionSpaces(block: block)
    let biases = description.hasAttentionBiases
    let query = addLinear("\(name).attention.self.query", from: stream, to: spaces.query, hasBias: biases)
    // It adds the same q · b to the scores of one query with every key, which the softmax takes no notice of.
    let key = addLinear(
      "\(name).attention.self.key", from: input, to: spaces.key, hasBias: biases, biasIsWithoutEffect: true)
    let value = addLinear("\(name).attention.self.value", from: input, to: spaces.value, hasBias: biases)
    let context = addAttention(
      "\(name).attention.self", query: query, key: key, value: value, to: spaces.context, isCausal: false)
    let attended = addLinear(
      "\(name).attention.output.dense", from: context, to: Self.residual, hasBias: biases, residual: stream)
    let between = addLayerNorm("\(name).attention.output.LayerNorm", from: attended)
    let hidden = SpaceID("layers.\(block).hidden")
    addSpace(hidden, width: description.hidden)
    let inner = addLinear(
      "\(name).intermediate.dense", from: between, to: hidden, hasBias: description.hasMLPBiases,
      activation: description.activation)
    let sum = addLinear(
      "\(name).output.dense", from: inner, to: Self.residual, hasBias: description.hasMLPBiases, residual: between)
    return addLayerNorm("\(name).output.LayerNorm", from: sum)
  }
}
