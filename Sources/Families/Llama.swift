package import Files
import Foundations
package import Models
package import Numerics

/// Llama decoders (Touvron et al., LLaMA, 2023): pre-norm blocks with RMSNorm, rotary positions, grouped-query causal attention and a gated MLP.
///
/// The gains of the norms are folded into the weights that read them: left in a rotated stream they would give its key away.
package struct Llama: ModelFamily {
  package static let name = "llama"

  package let sizes: CheckpointSizes

  /// Defaults as `LlamaConfig` has them.
  package init(_ settings: ConfigurationSettings) throws(HuggingFaceProblem) {
    try settings.refuse("pretraining_tp", unless: 0, 1, supported: "1")
    let width = try settings.integer("hidden_size", in: CheckpointSizes.widths, default: 4096)
    let heads = try settings.integer("num_attention_heads", in: CheckpointSizes.widths, default: 32)
    let keyValueHeads = try settings.integer("num_key_value_heads", in: CheckpointSizes.widths, default: heads)
    guard heads.isMultiple(of: keyValueHeads) else {
      throw .setting("num_key_value_heads", expected: "a divisor of `num_attention_heads` (\(heads))")
    }
    let givenHeadWidth = try settings.optionalInteger("head_dim", in: 2...(1 << 14))
    guard givenHeadWidth != nil || width.isMultiple(of: heads) else {
      throw .setting(
        "num_attention_heads", expected: "a divisor of `hidden_size` (\(width)) where `head_dim` is not given")
    }
    let headWidth = givenHeadWidth ?? width / heads
    guard headWidth.isMultiple(of: 2) else {
      throw .setting("head_dim", expected: "even: rotary positions turn pairs of coordinates")
    }
    let positions = try settings.integer("max_position_embeddings", in: CheckpointSizes.vocabularies, default: 2048)
    sizes = CheckpointSizes(
      width: width, blocks: try settings.integer("num_hidden_layers", in: CheckpointSizes.blockCounts, default: 32),
      heads: heads, keyValueHeads: keyValueHeads, headWidth: headWidth,
      hidden: try settings.integer("intermediate_size", in: CheckpointSizes.widths, default: 11008),
      activation: try settings.choice("hidden_act", ["silu": Activation.silu, "swish": .silu], default: "silu"),
      normEpsilon: try settings.number("rms_norm_eps", isPositive: true, default: 1e-6),
      rotary: RotaryDescription(
        frequencies: try RotarySettings(settings, positions: positions).frequencies(headWidth: headWidth)),
      hasAttentionBiases: try settings.boolean("attention_bias", default: false),
      hasMLPBiases: try settings.boolean("mlp_bias", default: false),
      vocabulary: try settings.integer("vocab_size", in: CheckpointSizes.vocabularies, default: 32000),
      positions: positions, tokenTypes: 0,
      // −1 means none in older configurations.
      paddingToken: try settings.optionalInteger("pad_token_id", in: -1...(1 << 24)).flatMap { $0 < 0 ? nil : $0 },
      initializerRange: try settings.number("initializer_range", isPositive: false, default: 0.02),
      tiesWordEmbeddings: try settings.boolean("tie_word_embeddings", default: false))
  }

  // MARK: - Tensors

  package static let wordEmbeddings = "model.embed_tokens.weight"
  private static let lastNorm = "model.norm.weight"

  package var tensors: [FamilyTensor] {
    let width = sizes.width
    let queries = sizes.heads * sizes.headWidth
    let keys = sizes.keyValueHeads * sizes.headWidth
    let biases = sizes.hasAttentionBiases
    var tensors = [FamilyTensor(Self.wordEmbeddings, [sizes.vocabulary, width], role: .embedding)]
    for block in 0..<sizes.blocks {
      let prefix = "model.layers.\(block)"
      let attention = "\(prefix).self_attn"
      let before = "\(prefix).input_layernorm.weight"
      let between = "\(prefix).post_attention_layernorm.weight"
      tensors += FamilyTensor.linear("\(attention).q_proj", queries, width, hasBias: biases, gain: before)
      tensors += FamilyTensor.linear("\(attention).k_proj", keys, width, hasBias: biases, gain: before)
      tensors += FamilyTensor.linear("\(attention).v_proj", keys, width, hasBias: biases, gain: before)
      tensors += FamilyTensor.linear("\(attention).o_proj", width, queries, hasBias: biases)
      for name in ["gate_proj", "up_proj"] {
        tensors += FamilyTensor.linear(
          "\(prefix).mlp.\(name)", sizes.hidden, width, hasBias: sizes.hasMLPBiases, gain: between)
      }
      tensors += FamilyTensor.linear("\(prefix).mlp.down_proj", width, sizes.hidden, hasBias: sizes.hasMLPBiases)
      tensors += [before, between].map { FamilyTensor($0, [width], role: .foldedNorm) }
    }
    tensors.append(FamilyTensor(Self.lastNorm, [width], role: .foldedNorm))
    tensors.append(
      FamilyTensor("lm_head.weight", [sizes.vocabulary, width], role: .languageModelHead, gain: Self.lastNorm))
    return tensors
  }

  /// The base model alone leaves out `model.`.
  package static func canonicalName(_ stored: String) -> String {
    ["layers.", "embed_tokens.", "norm."].contains(where: stored.hasPrefix) ? "model." + stored : stored
  }

  package static func isIgnorable(_ name: String) -> Bool {
    name.hasSuffix(".rotary_emb.inv_freq")
      || ["lm_head.", "score.", "qa_outputs."].contains(where: name.hasPrefix)
  }

  // MARK: - Tokens

  package func embedding<Element: FloatingElement>(
    _ tensor: (String) throws -> Tensor<Element>
  ) throws -> TokenEmbedding<Element> {
    TokenEmbedding(words: try tensor(Self.wordEmbeddings), positions: nil, types: nil, norm: nil)
  }

  package static let readsTokenOrder = true

  // MARK: - Head

  package static let poolings = [TokenPooling.last, .mean]
  package static let classifierGain: String? = lastNorm

  package static func classifier(_ task: LearningTask) -> String { "score" }

  package static func headHasBias(_ task: LearningTask) -> Bool { task == .tokenClassification }

  package static func libraryClass(_ task: LearningTask) -> String? {
    switch task {
    case .classification, .multilabel, .regression, .survival: "LlamaForSequenceClassification"
    case .tokenClassification: "LlamaForTokenClassification"
    case .causalLanguageModel: "LlamaForCausalLM"
    }
  }

  // MARK: - Graph

  package func graph(_ request: ModelRequest) throws(GraphError) -> ModelGraph {
    let blocks = try sizes.ofBlocks()
    var builder = try request.builder(sizes)
    var stream = GraphBuilder.input
    for block in 0..<sizes.blocks {
      let name = "model.layers.\(block)"
      let names = PreNormBlockNames(
        pooling: "\(name).pooling", attention: "\(name).self_attn", gating: "\(name).mlp",
        inputNorm: "\(name).input_layernorm", query: "\(name).self_attn.q_proj", key: "\(name).self_attn.k_proj",
        value: "\(name).self_attn.v_proj", attentionOutput: "\(name).self_attn.o_proj",
        attentionNorm: "\(name).post_attention_layernorm", gate: "\(name).mlp.gate_proj", up: "\(name).mlp.up_proj",
        down: "\(name).mlp.down_proj")
      stream = builder.addPreNormGatedBlock(
        block, names, blocks, from: stream, poolsToken: request.poolsToken(block, of: sizes))
    }
    stream = builder.addRootMeanSquareNorm("model.norm", from: stream, epsilon: sizes.normEpsilon)
    if request.pooling == .mean { stream = builder.add("pooling", .mean(PoolingOperation(from: stream))) }
    builder.addHead(
      request.isLanguageModel ? "lm_head" : Self.classifier(request.task), from: stream, outputs: request.outputs,
      hasBias: Self.headHasBias(request.task), isPretrained: request.isLanguageModel)
    return try builder.graph()
  }
}
