import Foundations
import Models
import Testing

@testable import Families
@testable import Files

@Suite struct HuggingFaceConfigurationTests {
  private func parse(
    _ settings: [String: JSONValue], _ changes: [String: JSONValue] = [:]
  ) throws(HuggingFaceProblem) -> HuggingFaceConfiguration {
    let merged = settings.merging(changes) { $1 }
    return try HuggingFaceConfiguration.parse(Array(JSONValue.object(merged).text().utf8))
  }

  @Test func anEncoder() throws {
    let configuration = try parse(ModelFixture.bert)
    #expect(configuration.sizes.vocabulary == 6)
    #expect(configuration.sizes.positions == 5)
    #expect(configuration.sizes.tokenTypes == 2)
    #expect(configuration.sizes.paddingToken == 0)
    #expect(configuration.sizes.initializerRange == 0.02)
    #expect(configuration.sizes.tiesWordEmbeddings)
    #expect(configuration.document == ModelFixture.bert)
    #expect(
      configuration.sizes
        == CheckpointSizes(
          width: 4, blocks: 1, heads: 2, keyValueHeads: 2, headWidth: 2, hidden: 3, activation: .gelu,
          normEpsilon: 1e-12, rotary: nil, hasAttentionBiases: true, hasMLPBiases: true, vocabulary: 6, positions: 5,
          tokenTypes: 2, paddingToken: 0, initializerRange: 0.02, tiesWordEmbeddings: true))
  }

  @Test func aDecoderWithGroupedQueries() throws {
    let configuration = try parse(ModelFixture.llama, ["attention_bias": true, "mlp_bias": true, "head_dim": 6])
    #expect(configuration.sizes.tokenTypes == 0)
    #expect(configuration.sizes.paddingToken == nil)
    #expect(!configuration.sizes.tiesWordEmbeddings)
    let sizes = configuration.sizes
    #expect(configuration.familyName == "llama")
    #expect(sizes.width == 8)
    #expect(sizes.heads == 4)
    #expect(sizes.keyValueHeads == 2)
    #expect(sizes.headWidth == 6)
    #expect(sizes.activation == .silu)
    #expect(sizes.normEpsilon == 1e-5)
    #expect(sizes.hasAttentionBiases)
    #expect(sizes.hasMLPBiases)
    #expect(sizes.rotary?.frequencies.count == 3)
  }

  @Test func theReferencesDefaults() throws {
    let bert = try parse(["model_type": "bert"])
    #expect(
      [bert.sizes.width, bert.sizes.blocks, bert.sizes.heads, bert.sizes.headWidth, bert.sizes.hidden] == [
        768, 12, 12, 64, 3072,
      ])
    #expect([bert.sizes.vocabulary, bert.sizes.positions, bert.sizes.tokenTypes] == [30522, 512, 2])
    let llama = try parse([
      "model_type": "llama", "num_key_value_heads": .null, "head_dim": .null, "rope_scaling": .null,
    ])
    #expect(
      [llama.sizes.width, llama.sizes.blocks, llama.sizes.heads, llama.sizes.keyValueHeads, llama.sizes.headWidth] == [
        4096, 32, 32, 32, 128,
      ])
    #expect([llama.sizes.vocabulary, llama.sizes.positions, llama.sizes.hidden] == [32000, 2048, 11008])
    #expect(llama.sizes.normEpsilon == 1e-6)
    #expect(llama.sizes.rotary?.frequencies.first == 1)
  }

  @Test(arguments: [
    ("gelu", Activation.gelu), ("gelu_new", .geluTanh), ("gelu_pytorch_tanh", .geluTanh), ("gelu_fast", .geluTanh),
    ("relu", .relu), ("silu", .silu), ("swish", .silu), ("tanh", .tanh),
  ])
  func activations(name: String, activation: Activation) throws {
    #expect(try parse(ModelFixture.bert, ["hidden_act": .string(name)]).sizes.activation == activation)
  }

  // MARK: Rotary positions

  private func frequencies(_ changes: [String: JSONValue]) throws(HuggingFaceProblem) -> [Double] {
    try parse(ModelFixture.llama, ["head_dim": 4].merging(changes) { $1 }).sizes.rotary?.frequencies ?? []
  }

  /// θ^(−2i/4) is 1 and 1/√θ. One rounding of `pow` and one of the division: 2⁻⁵² each.
  private func expect(_ found: [Double], _ expected: [Double], tolerance: Double = 0x1p-51) {
    #expect(found.count == expected.count)
    for (found, expected) in zip(found, expected) { #expect(abs(found - expected) <= tolerance * expected) }
  }

  @Test func unscaledRotaryPositions() throws {
    expect(try frequencies([:]), [1, 0.01])
    expect(try frequencies(["rope_theta": 1_000_000]), [1, 0.001])
    expect(try frequencies(["rope_theta": .null]), [1, 0.01])
    expect(try frequencies(["rope_parameters": .object(["rope_theta": 100, "rope_type": "default"])]), [1, 0.1])
    expect(try frequencies(["rope_scaling": .object(["type": "default"])]), [1, 0.01])
  }

  @Test func linearlyScaledRotaryPositions() throws {
    for name in ["type", "rope_type"] {
      expect(
        try frequencies(["rope_scaling": .object([name: "linear", "factor": .number("4.0")])]), [0.25, 0.0025])
    }
    expect(
      try frequencies(["rope_parameters": .object(["rope_theta": 100, "rope_type": "linear", "factor": 2])]),
      [0.5, 0.05])
  }

  /// What `LlamaRotaryEmbedding` of transformers 5.23 has for this configuration, in single precision: a handful of roundings
  /// of 2⁻²⁴, of which the interpolation between long and short waves may amplify one by up to the factor, 8.
  @Test func llama3ScaledRotaryPositions() throws {
    let expected = [
      1.0, 0.44036662578582764, 0.193922758102417, 0.08539710193872452, 0.03760603070259094, 0.016560440883040428,
      0.00729266507551074, 0.0032114461064338684, 0.0005248460220173001, 7.784655463183299e-05, 3.428102354519069e-05,
      1.5096217794052791e-05, 6.647869668086059e-06, 2.927499735960737e-06, 1.289173155782919e-06,
      5.677088097399974e-07,
    ]
    let scaling: [String: JSONValue] = [
      "rope_type": "llama3", "factor": .number("8.0"), "low_freq_factor": .number("1.0"),
      "high_freq_factor": .number("4.0"), "original_max_position_embeddings": 8192,
    ]
    let outer: [String: JSONValue] = ["head_dim": 32, "rope_theta": .number("500000.0")]
    expect(
      try frequencies(outer.merging(["rope_scaling": .object(scaling)]) { $1 }), expected, tolerance: 16 * 0x1p-24)
    let inner = scaling.merging(["rope_theta": .number("500000.0")]) { $1 }
    expect(
      try frequencies(["head_dim": 32, "rope_theta": .null, "rope_parameters": .object(inner)]), expected,
      tolerance: 16 * 0x1p-24)
  }

  // MARK: Refusals

  private static let supported = ModelFamilies.all.flatMap { $0.names }.joined(separator: ", ")

  /// Some of them are like one that is supported.
  @Test(arguments: ["roberta-prelayernorm", "albert", "llama4", "BERT", ""])
  func anotherModelType(type: String) {
    #expect(
      throws: HuggingFaceProblem.unsupportedSetting("model_type", found: type, supported: Self.supported)
    ) {
      try parse(ModelFixture.bert, ["model_type": .string(type)])
    }
  }

  @Test func noModelType() {
    #expect(throws: HuggingFaceProblem.missingSetting("model_type")) { try parse(["hidden_size": 8]) }
  }

  @Test(arguments: [
    ("position_embedding_type", JSONValue.string("relative_key")), ("position_embedding_type", "alibi"),
    ("is_decoder", true), ("add_cross_attention", true), ("is_encoder_decoder", true),
    ("quantization_config", .object(["bits": 4])), ("auto_map", .object(["AutoModel": "modeling.Model"])),
    ("pruned_heads", .object(["0": .array([1])])), ("hidden_act", "quick_gelu"), ("hidden_act", "gelu_10"),
  ])
  func anUnsupportedOptionOfAnEncoder(name: String, value: JSONValue) {
    let error = #expect(throws: HuggingFaceProblem.self) { try parse(ModelFixture.bert, [name: value]) }
    guard case .unsupportedSetting(name, _, _)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test(arguments: [
    ("pretraining_tp", JSONValue.number("2"), "pretraining_tp"), ("hidden_act", "gelu", "hidden_act"),
    ("quantization_config", .object(["bits": 4]), "quantization_config"),
    ("partial_rotary_factor", .number("0.5"), "partial_rotary_factor"),
    ("rope_scaling", .object(["type": "dynamic", "factor": 2]), "rope_scaling.type"),
    ("rope_scaling", .object(["rope_type": "yarn", "factor": 2]), "rope_scaling.rope_type"),
    ("rope_parameters", .object(["rope_type": "longrope"]), "rope_parameters.rope_type"),
    (
      "rope_parameters", .object(["rope_type": "default", "partial_rotary_factor": .number("0.5")]),
      "rope_parameters.partial_rotary_factor"
    ),
  ])
  func anUnsupportedOptionOfADecoder(name: String, value: JSONValue, named: String) {
    let error = #expect(throws: HuggingFaceProblem.self) { try parse(ModelFixture.llama, [name: value]) }
    guard case .unsupportedSetting(named, _, _)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test func harmlessValuesOfThoseOptions() throws {
    let harmless: [String: JSONValue] = [
      "is_decoder": false, "add_cross_attention": false, "quantization_config": .null, "pruned_heads": .object([:]),
      "position_embedding_type": "absolute",
    ]
    #expect(try parse(ModelFixture.bert, harmless).sizes.width == 4)
    #expect(try parse(ModelFixture.llama, ["pretraining_tp": 1, "partial_rotary_factor": 1]).sizes.width == 8)
  }

  @Test(arguments: [
    ("hidden_size", JSONValue.number("0")), ("hidden_size", .number("-4")), ("hidden_size", .number("4.0")),
    ("hidden_size", "4"), ("hidden_size", .number("1e3")), ("hidden_size", .number("99999999999999999999")),
    ("num_hidden_layers", 0), ("num_hidden_layers", 1_000_000), ("vocab_size", .number("2147483648")),
    ("max_position_embeddings", 0), ("type_vocab_size", 0), ("layer_norm_eps", 0),
    ("layer_norm_eps", .number("-1e-12")),
    ("layer_norm_eps", .number("1e999")), ("layer_norm_eps", "small"), ("initializer_range", .number("-0.02")),
    ("tie_word_embeddings", 1), ("hidden_act", 1), ("pad_token_id", .number("0.5")), ("num_attention_heads", 3),
  ])
  func aSettingOutsideItsRange(name: String, value: JSONValue) {
    let error = #expect(throws: HuggingFaceProblem.self) { try parse(ModelFixture.bert, [name: value]) }
    guard case .setting(name, _)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test(
    arguments: [
      (["num_key_value_heads": 3], "num_key_value_heads"), (["num_attention_heads": 3], "num_attention_heads"),
      (["head_dim": 3], "head_dim"), (["hidden_size": 12], "head_dim"), (["rope_theta": 0], "rope_theta"),
      (["rope_scaling": "linear"], "rope_scaling"),
      (["rope_scaling": .object(["type": "linear", "factor": 0])], "rope_scaling.factor"),
      (
        [
          "rope_scaling": .object([
            "rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4,
          ])
        ], "rope_scaling.high_freq_factor"
      ),
    ] as [([String: JSONValue], String)])
  func settingsThatDoNotFitEachOther(changes: [String: JSONValue], named: String) {
    let base =
      changes["num_attention_heads"] == nil
      ? ModelFixture.llama : ModelFixture.llama.filter { $0.key != "num_key_value_heads" }
    let error = #expect(throws: HuggingFaceProblem.self) { try parse(base, changes) }
    guard case .setting(named, _)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test func scalingWithoutAFactor() {
    #expect(throws: HuggingFaceProblem.missingSetting("rope_scaling.factor")) {
      try parse(ModelFixture.llama, ["rope_scaling": .object(["type": "linear"])])
    }
  }

  @Test func aConfigurationThatIsNoObject() {
    #expect(throws: HuggingFaceProblem.notAnObject) { try HuggingFaceConfiguration.parse(Array("[]".utf8)) }
  }
}
