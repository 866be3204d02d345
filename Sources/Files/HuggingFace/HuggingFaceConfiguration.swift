package import Foundations
package import Models

/// What a config.json says of a pretrained model: its sizes, and everything that decides which function its weights are.
package struct HuggingFaceConfiguration: Sendable, Equatable {
  package let family: TransformerFamily
  /// d: the width of a token vector.
  package let width: Int
  package let blocks: Int
  package let heads: Int
  /// Heads of keys and values; divides `heads`, and equals it for BERT.
  package let keyValueHeads: Int
  package let headWidth: Int
  /// Width between the linear layers of a block's MLP.
  package let hidden: Int
  package let activation: Activation
  package let normEpsilon: Double
  /// Nil for BERT.
  package let rotary: RotaryDescription?
  /// Whether query, key, value and output projections have biases.
  package let hasAttentionBiases: Bool
  package let hasMLPBiases: Bool
  /// Token ids are below this.
  package let vocabulary: Int
  /// Tokens of the longest sequence.
  package let positions: Int
  /// Token types are below this; 0 for a model without types.
  package let tokenTypes: Int
  package let paddingToken: Int?
  /// Deviation of fresh weights.
  package let initializerRange: Double
  /// Whether the language-model head is the word embedding.
  package let tiesWordEmbeddings: Bool
  /// The whole file, for writing it again.
  package let document: [String: JSONValue]

  /// The name of the word embedding, [vocabulary, width].
  package var wordEmbeddings: String {
    switch family {
    case .bert: "bert.embeddings.word_embeddings.weight"
    case .llama: "model.embed_tokens.weight"
    }
  }

  /// The model as the trainer is told it.
  package func transformer(
    head: TransformerHead, trained: TrainedPart, maximumTokens: Int, recomputes: Bool
  ) -> TransformerDescription {
    TransformerDescription(
      family: family, width: width, blocks: blocks, heads: heads, keyValueHeads: keyValueHeads, headWidth: headWidth,
      hidden: hidden, activation: activation, normEpsilon: normEpsilon, rotary: rotary,
      hasAttentionBiases: hasAttentionBiases, hasMLPBiases: hasMLPBiases, head: head, trained: trained,
      maximumTokens: maximumTokens, recomputes: recomputes)
  }
}

extension HuggingFaceConfiguration {
  private static let sizes = 1...(1 << 20)
  private static let vocabularies = 1...(1 << 24)

  /// Reads a config.json.
  ///
  /// - Throws: `HuggingFaceProblem` that names the setting: of another type or outside its range, missing where the model has no
  ///   default, or asking for what is not supported.
  package static func parse(_ bytes: [UInt8]) throws(HuggingFaceProblem) -> HuggingFaceConfiguration {
    guard case .object(let members) = try JSONValue.parse(bytes, throwing: HuggingFaceProblem.self) else {
      throw .notAnObject
    }
    let settings = ConfigurationSettings(members: members)
    let family = try settings.choice("model_type", ["bert": TransformerFamily.bert, "llama": .llama])
    try settings.refuse("quantization_config", supported: "weights that are not quantized")
    try settings.refuse("auto_map", supported: "models whose code is part of the transformers library")
    try settings.refuse("pruned_heads", supported: "no pruned heads")
    try settings.refuse("is_encoder_decoder", supported: "false")
    try settings.refuse("add_cross_attention", supported: "false")
    switch family {
    case .bert: return try bert(settings)
    case .llama: return try llama(settings)
    }
  }

  /// Defaults as `BertConfig` has them.
  private static func bert(_ settings: ConfigurationSettings) throws(HuggingFaceProblem) -> HuggingFaceConfiguration {
    try settings.refuse("position_embedding_type", unless: "absolute", supported: "absolute")
    try settings.refuse("is_decoder", supported: "false")
    let width = try settings.integer("hidden_size", in: sizes, default: 768)
    let heads = try settings.integer("num_attention_heads", in: sizes, default: 12)
    guard width.isMultiple(of: heads) else {
      throw .setting("num_attention_heads", expected: "a divisor of `hidden_size` (\(width))")
    }
    return HuggingFaceConfiguration(
      family: .bert, width: width, blocks: try settings.integer("num_hidden_layers", in: 1...4096, default: 12),
      heads: heads, keyValueHeads: heads, headWidth: width / heads,
      hidden: try settings.integer("intermediate_size", in: sizes, default: 3072),
      activation: try settings.choice(
        "hidden_act",
        [
          "gelu": Activation.gelu, "gelu_new": .geluTanh, "gelu_pytorch_tanh": .geluTanh, "gelu_fast": .geluTanh,
          "relu": .relu, "silu": .silu, "swish": .silu, "tanh": .tanh,
        ], default: "gelu"),
      normEpsilon: try settings.number("layer_norm_eps", isPositive: true, default: 1e-12), rotary: nil,
      hasAttentionBiases: true, hasMLPBiases: true,
      vocabulary: try settings.integer("vocab_size", in: vocabularies, default: 30522),
      positions: try settings.integer("max_position_embeddings", in: vocabularies, default: 512),
      tokenTypes: try settings.integer("type_vocab_size", in: sizes, default: 2),
      paddingToken: try settings.optionalInteger("pad_token_id", in: 0...(1 << 24)),
      initializerRange: try settings.number("initializer_range", isPositive: false, default: 0.02),
      tiesWordEmbeddings: try settings.boolean("tie_word_embeddings", default: true), document: settings.members)
  }

  /// Defaults as `LlamaConfig` has them.
  private static func llama(_ settings: ConfigurationSettings) throws(HuggingFaceProblem) -> HuggingFaceConfiguration {
    try settings.refuse("pretraining_tp", unless: 0, 1, supported: "1")
    let width = try settings.integer("hidden_size", in: sizes, default: 4096)
    let heads = try settings.integer("num_attention_heads", in: sizes, default: 32)
    let keyValueHeads = try settings.integer("num_key_value_heads", in: sizes, default: heads)
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
    let positions = try settings.integer("max_position_embeddings", in: vocabularies, default: 2048)
    return HuggingFaceConfiguration(
      family: .llama, width: width, blocks: try settings.integer("num_hidden_layers", in: 1...4096, default: 32),
      heads: heads, keyValueHeads: keyValueHeads, headWidth: headWidth,
      hidden: try settings.integer("intermediate_size", in: sizes, default: 11008),
      activation: try settings.choice("hidden_act", ["silu": Activation.silu, "swish": .silu], default: "silu"),
      normEpsilon: try settings.number("rms_norm_eps", isPositive: true, default: 1e-6),
      rotary: RotaryDescription(
        frequencies: try RotarySettings(settings, positions: positions).frequencies(headWidth: headWidth)),
      hasAttentionBiases: try settings.boolean("attention_bias", default: false),
      hasMLPBiases: try settings.boolean("mlp_bias", default: false),
      vocabulary: try settings.integer("vocab_size", in: vocabularies, default: 32000), positions: positions,
      tokenTypes: 0, paddingToken: try settings.optionalInteger("pad_token_id", in: -1...(1 << 24)),
      initializerRange: try settings.number("initializer_range", isPositive: false, default: 0.02),
      tiesWordEmbeddings: try settings.boolean("tie_word_embeddings", default: false), document: settings.members)
  }
}

extension HuggingFaceConfiguration {
  /// The tensors that the configuration describes, under the names that the family's classes with a head have, in the order of
  /// their modules.
  ///
  /// - Parameters:
  ///   - pooler: whether BERT's dense layer over its first token is one of them.
  ///   - languageModelHead: whether `lm_head.weight` is; where word embeddings are tied, it is read from those.
  package func tensors(pooler: Bool, languageModelHead: Bool) -> [TensorDescription] {
    switch family {
    case .bert: bertTensors(pooler: pooler)
    case .llama: llamaTensors(languageModelHead: languageModelHead)
    }
  }

  private func bertTensors(pooler: Bool) -> [TensorDescription] {
    let embeddings = "bert.embeddings"
    var tensors = [
      TensorDescription(name: wordEmbeddings, shape: [vocabulary, width]),
      TensorDescription(name: "\(embeddings).position_embeddings.weight", shape: [positions, width]),
      TensorDescription(name: "\(embeddings).token_type_embeddings.weight", shape: [tokenTypes, width]),
    ]
    tensors += norm("\(embeddings).LayerNorm")
    for block in 0..<blocks {
      let prefix = "bert.encoder.layer.\(block)"
      for name in ["query", "key", "value"] {
        tensors += linear("\(prefix).attention.self.\(name)", width, width, hasBias: true)
      }
      tensors += linear("\(prefix).attention.output.dense", width, width, hasBias: true)
      tensors += norm("\(prefix).attention.output.LayerNorm")
      tensors += linear("\(prefix).intermediate.dense", hidden, width, hasBias: true)
      tensors += linear("\(prefix).output.dense", width, hidden, hasBias: true)
      tensors += norm("\(prefix).output.LayerNorm")
    }
    if pooler { tensors += linear("bert.pooler.dense", width, width, hasBias: true) }
    return tensors
  }

  private func llamaTensors(languageModelHead: Bool) -> [TensorDescription] {
    var tensors = [TensorDescription(name: wordEmbeddings, shape: [vocabulary, width])]
    let keys = keyValueHeads * headWidth
    let queries = heads * headWidth
    for block in 0..<blocks {
      let prefix = "model.layers.\(block)"
      let attention = "\(prefix).self_attn"
      tensors += linear("\(attention).q_proj", queries, width, hasBias: hasAttentionBiases)
      tensors += linear("\(attention).k_proj", keys, width, hasBias: hasAttentionBiases)
      tensors += linear("\(attention).v_proj", keys, width, hasBias: hasAttentionBiases)
      tensors += linear("\(attention).o_proj", width, queries, hasBias: hasAttentionBiases)
      for name in ["gate_proj", "up_proj"] {
        tensors += linear("\(prefix).mlp.\(name)", hidden, width, hasBias: hasMLPBiases)
      }
      tensors += linear("\(prefix).mlp.down_proj", width, hidden, hasBias: hasMLPBiases)
      tensors.append(TensorDescription(name: "\(prefix).input_layernorm.weight", shape: [width]))
      tensors.append(TensorDescription(name: "\(prefix).post_attention_layernorm.weight", shape: [width]))
    }
    tensors.append(TensorDescription(name: "model.norm.weight", shape: [width]))
    if languageModelHead { tensors.append(TensorDescription(name: "lm_head.weight", shape: [vocabulary, width])) }
    return tensors
  }

  private func linear(_ name: String, _ outputs: Int, _ inputs: Int, hasBias: Bool) -> [TensorDescription] {
    let weight = TensorDescription(name: "\(name).weight", shape: [outputs, inputs])
    return hasBias ? [weight, TensorDescription(name: "\(name).bias", shape: [outputs])] : [weight]
  }

  private func norm(_ name: String) -> [TensorDescription] {
    ["weight", "bias"].map { TensorDescription(name: "\(name).\($0)", shape: [width]) }
  }
}
