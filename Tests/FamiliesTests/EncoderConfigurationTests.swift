import Foundations
import Models
import Numerics
import TestSupport
import Testing

@testable import Families
@testable import Files

/// What configurations of BERT's descendants say, and those that leave unsaid what they are of.
@Suite struct EncoderConfigurationTests {
  private func parse(_ settings: [String: JSONValue]) throws(HuggingFaceProblem) -> HuggingFaceConfiguration {
    try HuggingFaceConfiguration.parse(Array(JSONValue.object(settings).text().utf8))
  }

  // MARK: Without model_type

  /// All that Google's first checkpoints say, and BioBERT after them.
  private static let first: [String: JSONValue] = [
    "attention_probs_dropout_prob": .number("0.1"), "hidden_act": "gelu", "hidden_dropout_prob": .number("0.1"),
    "hidden_size": 8, "initializer_range": .number("0.02"), "intermediate_size": 16, "max_position_embeddings": 16,
    "num_attention_heads": 2, "num_hidden_layers": 1, "type_vocab_size": 2, "vocab_size": 20,
  ]

  @Test func theFirstConfigurations() throws {
    #expect(try parse(Self.first).familyName == "bert")
    let withPooler = Self.first.merging([
      "directionality": "bidi", "pooler_fc_size": 768, "pooler_num_attention_heads": 12, "pooler_num_fc_layers": 3,
      "pooler_size_per_head": 128, "pooler_type": "first_token_transform",
    ]) { $1 }
    #expect(try parse(withPooler).sizes == parse(Self.first).sizes)
    #expect(try parse(Self.first).sizes.normEpsilon == 1e-12)
  }

  @Test(arguments: ["BertModel", "BertForPreTraining", "BertForMaskedLM", "BertForSequenceClassification"])
  func aClassThatSaysIt(name: String) throws {
    let named: [String: JSONValue] = [
      "architectures": .array([.string(name)]), "hidden_size": 8, "num_attention_heads": 2,
    ]
    #expect(try parse(named).familyName == "bert")
  }

  /// RoBERTa's, ELECTRA's, ALBERT's and LayoutLM's configurations of that age, another class, and too little to tell.
  @Test(
    arguments: [
      ["type_vocab_size": 1], ["embedding_size": 128], ["max_2d_position_embeddings": 1024], ["vocab_size": .null],
      ["architectures": .array(["RobertaForMaskedLM"])], ["architectures": .array(["BertModel", "RobertaModel"])],
      ["architectures": .array(["BertGenerationEncoder"])],
    ] as [[String: JSONValue]])
  func whatMightBeAnother(changes: [String: JSONValue]) {
    #expect(throws: HuggingFaceProblem.missingSetting("model_type")) {
      try parse(Self.first.merging(changes) { $1 })
    }
  }

  /// Whoever loads the result needs no guess.
  @Test func theResultSaysIt() throws {
    let target = try TemporaryDirectory()
    let fixture = try ModelFixture(ModelFixture.bert, changing: ["model_type": .null])
    try fixture.writeWeights(fixture.tensors())
    try HuggingFaceExport(
      libraryClass: "BertForTokenClassification", task: .tokenClassification, outputs: 2, classNames: nil,
      tiesWordEmbeddings: false
    ).write([], original: fixture.open(), to: target.path)
    let bytes = try #require(target.contents("config.json"))
    guard case .object(let members) = try JSONValue.parse(Array(bytes), throwing: HuggingFaceProblem.self) else {
      Issue.record("no object")
      return
    }
    #expect(members["model_type"] == "bert")
  }

  // MARK: RoBERTa and those trained as it was

  @Test(arguments: [
    ("roberta", "Roberta", 50265), ("xlm-roberta", "XLMRoberta", 30522), ("camembert", "Camembert", 30522),
  ])
  func theNamesOfRoBERTa(type: String, prefix: String, vocabulary: Int) throws {
    let configuration = try parse(["model_type": .string(type)])
    let family = configuration.family
    #expect(configuration.familyName == type)
    #expect(family.libraryClass(.multilabel) == "\(prefix)ForSequenceClassification")
    #expect(family.libraryClass(.tokenClassification) == "\(prefix)ForTokenClassification")
    #expect(family.libraryClass(.causalLanguageModel) == nil)
    #expect(family.sizes.vocabulary == vocabulary)
    // 512 rows, the padding token's id is 1.
    #expect(family.sizes.positions == 510)
    #expect(family.sizes.paddingToken == 1)
    #expect(
      family.tensors[1] == FamilyTensor("roberta.embeddings.position_embeddings.weight", [512, 768], role: .embedding))
  }

  @Test func positionsThatEndBeforeTheyBegin() {
    #expect {
      try parse(["model_type": "roberta", "max_position_embeddings": 4, "pad_token_id": 3])
    } throws: { error in
      guard case .setting("max_position_embeddings", _)? = error as? HuggingFaceProblem else { return false }
      return true
    }
  }

  // MARK: Defaults and refusals

  @Test func theReferencesDefaults() throws {
    let electra = try parse(["model_type": "electra"]).sizes
    #expect([electra.width, electra.blocks, electra.heads, electra.hidden] == [256, 12, 4, 1024])
    #expect([electra.vocabulary, electra.positions, electra.tokenTypes] == [30522, 512, 2])
    let distilbert = try parse(["model_type": "distilbert"]).sizes
    #expect([distilbert.width, distilbert.blocks, distilbert.heads, distilbert.hidden] == [768, 6, 12, 3072])
    #expect([distilbert.vocabulary, distilbert.positions, distilbert.tokenTypes] == [30522, 512, 0])
    #expect(distilbert.normEpsilon == 1e-12)
  }

  /// ELECTRA has the layer between only where the widths differ.
  @Test func theLayerAfterTheEmbedding() throws {
    let names = try [128, 256].map { width in
      try parse(["model_type": "electra", "embedding_size": .number("\(width)")]).family.keptTensors.map(\.name)
    }
    #expect(Array(names[0].suffix(2)) == ["electra.embeddings_project.weight", "electra.embeddings_project.bias"])
    #expect(!names[1].contains { $0.contains("project") })
  }

  @Test(arguments: [
    ("roberta", "position_embedding_type", JSONValue.string("relative_key")), ("electra", "is_decoder", true),
    ("distilbert", "activation", "quick_gelu"), ("xlm-roberta", "hidden_act", "mish"),
    ("electra", "position_embedding_type", "relative_key_query"),
  ])
  func anUnsupportedOption(type: String, name: String, value: JSONValue) {
    let error = #expect(throws: HuggingFaceProblem.self) { try parse(["model_type": .string(type), name: value]) }
    guard case .unsupportedSetting(name, _, _)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  // MARK: Names in files

  /// Base models alone, old norms, and heads that nobody asked for.
  @Test func namesInFiles() {
    #expect(
      RoBERTa.canonicalName("encoder.layer.0.output.LayerNorm.gamma")
        == "roberta.encoder.layer.0.output.LayerNorm.weight")
    #expect(ELECTRA.canonicalName("embeddings_project.bias") == "electra.embeddings_project.bias")
    #expect(ELECTRA.canonicalName("discriminator_predictions.dense.bias") == "discriminator_predictions.dense.bias")
    #expect(
      DistilBERT.canonicalName("transformer.layer.0.ffn.lin1.bias") == "distilbert.transformer.layer.0.ffn.lin1.bias")
    for name in ["lm_head.dense.weight", "roberta.pooler.dense.bias", "classifier.out_proj.weight"] {
      #expect(RoBERTa.isIgnorable(name))
    }
    for name in ["vocab_projector.bias", "pre_classifier.weight"] { #expect(DistilBERT.isIgnorable(name)) }
    for name in ["generator_lm_head.bias", "discriminator_predictions.dense.weight"] {
      #expect(ELECTRA.isIgnorable(name))
    }
    #expect(!RoBERTa.isIgnorable("roberta.encoder.layer.9.output.dense.bias"))
  }
}
