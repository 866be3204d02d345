import Models
import Foundations
import Foundation
import Numerics
import Testing
import TestSupport

@testable import Families
@testable import Files

@Suite struct HuggingFaceDirectoryTests {
  @Test func anEncoderAsItsClassesWithAHeadAreSaved() throws {
    let fixture = try ModelFixture(ModelFixture.bert)
    try fixture.writeWeights(fixture.tensors(pooler: true))
    let model = try fixture.open()
    let expected = try fixture.descriptions(pooler: true)
    try model.check(expected: expected)
    #expect(model.names == expected.map(\.name).sorted())
    for (index, description) in expected.enumerated() {
      #expect(model.shape(of: description.name) == description.shape)
      #expect(try model.tensor(named: description.name) == ModelFixture.tensor(index, description.shape))
    }
  }

  /// Without `bert.`, and with the norms' old names.
  @Test func anEncoderAsTheBareModelIsSaved() throws {
    let fixture = try ModelFixture(ModelFixture.bert)
    let old = try fixture.tensors(pooler: true).map { tensor in
      let bare = String(tensor.name.dropFirst("bert.".count))
      return tensor.named(
        bare.replacing("LayerNorm.weight", with: "LayerNorm.gamma").replacing("LayerNorm.bias", with: "LayerNorm.beta"))
    }
    #expect(old.contains { $0.name == "encoder.layer.0.output.LayerNorm.gamma" })
    #expect(old.contains { $0.name == "embeddings.LayerNorm.beta" })
    try fixture.writeWeights(old)
    let model = try fixture.open()
    let expected = try fixture.descriptions(pooler: true)
    try model.check(expected: expected)
    let last = expected.count - 1
    #expect(
      try model.tensor(named: expected[last].name) == ModelFixture.tensor(last, expected[last].shape))
    #expect(model.contains("bert.embeddings.LayerNorm.weight"))
    #expect(!model.contains("embeddings.LayerNorm.gamma"))
  }

  @Test func aDecoderWithAndWithoutItsPrefix() throws {
    for isBare in [false, true] {
      let fixture = try ModelFixture(ModelFixture.llama, changing: ["attention_bias": true, "mlp_bias": true])
      try fixture.writeWeights(
        fixture.tensors().map { isBare ? $0.named(String($0.name.dropFirst("model.".count))) : $0 })
      let model = try fixture.open()
      try model.check(expected: fixture.descriptions())
      #expect(model.shape(of: "model.layers.0.self_attn.k_proj.weight") == [4, 8])
      #expect(model.shape(of: "model.layers.0.self_attn.o_proj.bias") == [8])
      #expect(model.shape(of: "model.layers.0.mlp.down_proj.bias") == [8])
      #expect(model.contains("model.norm.weight"))
      #expect(!model.contains("lm_head.weight"))
    }
  }

  @Test func shards() throws {
    let fixture = try ModelFixture(ModelFixture.llama)
    let tensors = try fixture.tensors(languageModelHead: true)
    try fixture.writeShards([
      "model-00001-of-00002.safetensors": Array(tensors.prefix(4)),
      "model-00002-of-00002.safetensors": Array(tensors.dropFirst(4)),
    ])
    let model = try fixture.open()
    let expected = try fixture.descriptions(languageModelHead: true)
    try model.check(expected: expected)
    for (index, description) in expected.enumerated() {
      #expect(try model.tensor(named: description.name) == ModelFixture.tensor(index, description.shape))
    }
  }

  @Test func oneFileIsPreferredToAnIndex() throws {
    let fixture = try ModelFixture(ModelFixture.bert)
    try fixture.writeWeights(fixture.tensors())
    try fixture.write("not JSON", to: "model.safetensors.index.json")
    try fixture.open().check(expected: fixture.descriptions())
  }

  /// 1 and −2 in both formats, and a number that only Float has.
  @Test func floatingTypesAreWidened() throws {
    let fixture = try ModelFixture(ModelFixture.llama)
    let patterns: [(SafetensorsType, [UInt8])] = [
      (.float16, [0x00, 0x3C, 0x00, 0xC0]), (.bfloat16, [0x80, 0x3F, 0x00, 0xC0]),
      (.float32, [0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0]),
    ]
    for (type, bytes) in patterns {
      try fixture.writeWeights([
        SafetensorsTensor(name: "model.norm.weight", type: type, shape: [2]) { (writer) throws(FileError) in
          try writer.write(Data(bytes))
        }
      ])
      #expect(try fixture.open().tensor(named: "model.norm.weight", as: Double.self).elements == [1, -2])
    }
  }

  @Test func tensorsThatMayBePassedOver() throws {
    let encoder = try ModelFixture(ModelFixture.bert)
    let one = Tensor<Float>([1], shape: [1])
    try encoder.writeWeights(
      encoder.tensors(pooler: true)
        + ["cls.predictions.bias", "cls.seq_relationship.weight", "classifier.bias"].map { SafetensorsTensor($0, one) }
        + [SafetensorsTensor("bert.embeddings.position_ids", Tensor<Int64>([0, 1], shape: [1, 2]))])
    try encoder.open().check(expected: encoder.descriptions())

    let decoder = try ModelFixture(ModelFixture.llama)
    try decoder.writeWeights(
      decoder.tensors(languageModelHead: true)
        + ["model.layers.0.self_attn.rotary_emb.inv_freq", "score.weight"].map { SafetensorsTensor($0, one) })
    try decoder.open().check(expected: decoder.descriptions())
  }

  @Test func aTiedHeadIsTheWordEmbedding() throws {
    let fixture = try ModelFixture(ModelFixture.llama, changing: ["tie_word_embeddings": true])
    try fixture.writeWeights(fixture.tensors())
    let model = try fixture.open()
    try model.check(expected: fixture.descriptions(languageModelHead: true))
    #expect(model.contains("lm_head.weight"))
    #expect(
      try model.tensor(named: "lm_head.weight", as: Float.self) == model.tensor(named: "model.embed_tokens.weight"))
    // A head in the file as well: the configuration decides, as it does in the reference.
    try fixture.writeWeights(fixture.tensors() + [SafetensorsTensor("lm_head.weight", Tensor<Float>(zeros: [6, 8]))])
    #expect(
      try fixture.open().tensor(named: "lm_head.weight", as: Float.self)
        == model.tensor(named: "model.embed_tokens.weight"))
  }

  @Test func anUntiedHeadMustBeThere() throws {
    let fixture = try ModelFixture(ModelFixture.llama)
    try fixture.writeWeights(fixture.tensors())
    _ = try expectProblem(.missingTensor("lm_head.weight")) {
      try fixture.open().check(expected: fixture.descriptions(languageModelHead: true))
    }
  }

  // MARK: Refusals

  @Test func aMissingTensor() throws {
    let fixture = try ModelFixture(ModelFixture.bert)
    try fixture.writeWeights(fixture.tensors().filter { $0.name != "bert.encoder.layer.0.output.dense.bias" })
    let model = try fixture.open()
    _ = try expectProblem(.missingTensor("bert.encoder.layer.0.output.dense.bias")) {
      try model.check(expected: fixture.descriptions())
    }
    _ = try expectProblem(.missingTensor("bert.nothing")) {
      _ = try model.tensor(named: "bert.nothing", as: Float.self)
    }
  }

  @Test func anExtraTensor() throws {
    let fixture = try ModelFixture(ModelFixture.bert)
    let extra = "bert.encoder.layer.1.output.dense.bias"
    try fixture.writeWeights(fixture.tensors() + [SafetensorsTensor(extra, Tensor<Float>(zeros: [4]))])
    let problem = try expectProblem(.unexpectedTensor(extra)) {
      try fixture.open().check(expected: fixture.descriptions())
    }
    #expect(problem.description.contains(extra))
  }

  @Test func aMisshapenTensor() throws {
    let fixture = try ModelFixture(ModelFixture.bert)
    let name = "bert.encoder.layer.0.attention.self.key.weight"
    try fixture.writeWeights(
      fixture.tensors().map { $0.name == name ? SafetensorsTensor(name, Tensor<Float>(zeros: [2, 8])) : $0 })
    let problem = try expectProblem(.shape(name: name, expected: [4, 4], found: [2, 8])) {
      try fixture.open().check(expected: fixture.descriptions())
    }
    #expect(problem.description == "`\(name)` has the shape [2, 8]; config.json makes it [4, 4]")
  }

  @Test func aTensorOfIntegers() throws {
    let fixture = try ModelFixture(ModelFixture.bert)
    let name = "bert.embeddings.LayerNorm.bias"
    try fixture.writeWeights(
      fixture.tensors().map { $0.name == name ? SafetensorsTensor(name, Tensor<Int32>(zeros: [4])) : $0 })
    _ = try expectProblem(.notFloating(name: name, stored: "I32")) {
      try fixture.open().check(expected: fixture.descriptions())
    }
    _ = try expectProblem(.notFloating(name: name, stored: "I32")) {
      _ = try fixture.open().tensor(named: name, as: Float.self)
    }
  }

  @Test func twoSpellingsOfOneName() throws {
    let fixture = try ModelFixture(ModelFixture.bert)
    let twice = SafetensorsTensor("embeddings.LayerNorm.gamma", Tensor<Float>(zeros: [4]))
    try fixture.writeWeights(fixture.tensors() + [twice])
    _ = try expectProblem(.spelledTwice("bert.embeddings.LayerNorm.weight")) { _ = try fixture.open() }
  }

  @Test func noWeights() throws {
    let fixture = try ModelFixture(ModelFixture.bert)
    #expect(throws: FileError.huggingFace(path: fixture.path, .noWeights)) { try fixture.open() }
    for pickle in ["pytorch_model.bin.index.json", "pytorch_model.bin"] {
      try fixture.write("pickled", to: pickle)
      #expect(throws: FileError.huggingFace(path: fixture.path, .pickledWeights(directory: fixture.path))) {
        try fixture.open()
      }
    }
  }

  @Test func aDirectoryThatIsNotThere() {
    let error = #expect(throws: FileError.self) { try HuggingFaceDirectory("/nowhere") }
    #expect(error?.kind == .inputData)
    #expect(error?.description.contains("/nowhere/config.json") == true)
  }

  @Test func aConfigurationThatIsNotJSON() throws {
    let fixture = try ModelFixture(ModelFixture.bert)
    try fixture.write("{\"model_type\": bert}", to: "config.json")
    let error = #expect(throws: FileError.self) { try fixture.open() }
    #expect(error?.description.hasPrefix(fixture.path + "/config.json: it is not valid JSON, at byte 15") == true)
    #expect(error?.kind == .inputData)
  }

  @Test func aConfigurationAboveTheLimit() throws {
    let fixture = try ModelFixture(ModelFixture.bert)
    try fixture.write(String(repeating: " ", count: (16 << 20) + 1), to: "config.json")
    _ = try expectProblem(.tooLarge(limit: 16 << 20)) { _ = try fixture.open() }
  }

  @Test func truncatedWeights() throws {
    let fixture = try ModelFixture(ModelFixture.bert)
    try fixture.writeWeights(fixture.tensors())
    let whole = try #require(fixture.directory.contents("model.safetensors"))
    for length in [0, 7, 100, whole.count / 2, whole.count - 1] {
      try whole.prefix(length).write(to: URL(fileURLWithPath: fixture.directory.file("model.safetensors")))
      let error = #expect(throws: FileError.self) { try fixture.open() }
      guard case .safetensors? = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
      #expect(error?.kind == .inputData)
    }
  }

  @Test func overlappingOffsets() throws {
    let fixture = try ModelFixture(ModelFixture.bert)
    let entry = "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}"
    let header = "{\"bert.a\":\(entry),\"bert.b\":\(entry)}"
    let bytes = [UInt8(header.utf8.count), 0, 0, 0, 0, 0, 0, 0] + Array(header.utf8) + [0, 0, 0, 0]
    let path = fixture.directory.file("model.safetensors")
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    #expect(throws: FileError.safetensors(path: path, .overlap(name: "bert.b"))) { try fixture.open() }
  }
}
