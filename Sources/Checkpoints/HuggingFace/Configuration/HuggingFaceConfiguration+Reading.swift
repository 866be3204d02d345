import Architecture

extension HuggingFaceConfiguration {
  private static let sizes = 1...(1 << 20)
  private static let vocabularies = 1...(1 << 24)

  /// Reads a config.json.
  ///
  /// - Throws: `HuggingFaceProblem` that names the setting: of another type or outside its range, missing where the model has no
  ///   default, or asking for what is not supported.
  package static func parse(_ bytes: [UInt8]) throws(HuggingFaceProblem) -> HuggingFaceConfiguration {
    guard case .object(let members) = try JSONValue.parse(bytes) else { throw .notAnObject }
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
