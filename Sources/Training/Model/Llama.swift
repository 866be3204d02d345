import Models

extension Model {
  /// A Llama decoder from its embedded tokens on (Touvron et al., LLaMA, 2023), with Hugging Face's parameter names.
  ///
  /// A block is x₁ = x + attention(norm(x)), x₂ = x₁ + W_down (silu(W_gate n) ⊙ W_up n) with n = norm(x₁), pre-norm. The norms
  /// have no gains: the owner has folded them into the layers that read the norms. Where one token of a sample is pooled,
  /// the last block is computed for that token alone after its keys and values, which changes no result.
  init(llama description: TransformerDescription) throws(TrainingError) {
    try description.validate()
    guard let rotary = description.rotary else { throw .invalidModel("Llama needs rotary frequencies") }
    guard description.activation == .silu else {
      throw .invalidModel("a gated MLP with \(description.activation.rawValue); silu is supported")
    }
    guard !description.head.hasPooler else { throw .invalidModel("Llama has no pooler") }
    guard !description.head.isLanguageModel || description.head.pooling == .none else {
      throw .invalidModel("a language model's head reads every token")
    }
    let table = RotaryTable(frequencies: rotary.frequencies, positions: description.maximumTokens)
    var builder = TransformerBuilder(description)
    var stream = 0
    for block in 0..<description.blocks {
      stream = builder.addBlock { $0.addLlamaBlock(block, from: stream, table) }
    }
    stream = builder.addRootMeanSquareNorm("model.norm", from: stream)
    if description.head.pooling == .mean { stream = builder.addMean("pooling", from: stream) }
    builder.addHead(description.head.isLanguageModel ? "lm_head" : "score", from: stream)
    self = try builder.model(rotaryTables: [table])
  }
}

extension TransformerBuilder {
  fileprivate mutating func addLlamaBlock(_ block: Int, from input: Int, _ table: RotaryTable) -> Int {
    let name = "model.layers.\(block)"
    let isPruned = block == description.blocks - 1 && description.prunesLastBlock
    let stream = isPruned ? addSelection("\(name).pooling", from: input) : input
    let normed = addRootMeanSquareNorm("\(name).input_layernorm", from: input)
    let asking = isPruned ? addSelection("\(name).pooling", from: normed) : normed
    let spaces = addAttentionSpaces(block: block)
    let attention = "\(name).self_attn"
    let biases = description.hasAttentionBiases
    let query = addRotary(
      attention, from: addLinear("\(attention).q_proj", from: asking, to: spaces.query, hasBias: biases),
      heads: description.heads, table)
    let key = addRotary(
      attention, from: addLinear("\(attention).k_proj", from: normed, to: spaces.key, hasBias: biases),
      heads: description.keyValueHeads, table)
    let value = addLinear("\(attention).v_proj", from: normed, to: spaces.value, hasBias: biases)
    let context = addAttention(attention, query: query, key: key, value: value, to: spaces.context, isCausal: true)
    let attended = addLinear(
      "\(attention).o_proj", from: context, to: Self.residual, hasBias: biases, residual: stream)
    let between = addRootMeanSquareNorm("\(name).post_attention_layernorm", from: attended)
    let gateSpace = SpaceID("layers.\(block).gate")
    let upSpace = SpaceID("layers.\(block).up")
    addSpace(gateSpace, width: description.hidden)
    addSpace(upSpace, width: description.hidden, form: .sameOrder(as: gateSpace.name))
    let bias = description.hasMLPBiases
    let gate = addLinear("\(name).mlp.gate_proj", from: between, to: gateSpace, hasBias: bias)
    let up = addLinear("\(name).mlp.up_proj", from: between, to: upSpace, hasBias: bias)
    let product = addGate("\(name).mlp", gate: gate, up: up)
    return addLinear("\(name).mlp.down_proj", from: product, to: Self.residual, hasBias: bias, residual: attended)
  }
}
