import Foundation
import Foundations
import Models
import Numerics
import TestSupport
import Testing

@testable import Families
@testable import Files

/// A family whose checkpoints store query, key and value in one matrix, [inputs, outputs], as GPT-2's do.
private struct Fused: ModelFamily {
  static let name = "fused"
  let sizes: CheckpointSizes

  init(_ settings: ConfigurationSettings) throws(HuggingFaceProblem) {
    sizes = try Llama(settings).sizes
  }

  static let wordEmbeddings = "wte.weight"
  static let parts = ["query", "key", "value"]

  var tensors: [FamilyTensor] {
    let width = sizes.width
    var tensors = [FamilyTensor(Self.wordEmbeddings, [sizes.vocabulary, width], role: .embedding)]
    for (index, part) in Self.parts.enumerated() {
      let row = index * width
      tensors.append(
        FamilyTensor(
          "h.0.\(part).weight", [width, width], gain: "h.0.norm.weight",
          place: .init(in: "h.0.c_attn.weight", firstRow: row, isTransposed: true)))
      tensors.append(
        FamilyTensor("h.0.\(part).bias", [width], place: .init(in: "h.0.c_attn.bias", firstRow: row)))
    }
    tensors.append(FamilyTensor("h.0.norm.weight", [width], role: .foldedNorm))
    return tensors
  }

  static func isIgnorable(_ name: String) -> Bool { false }

  func embedding<Element: FloatingElement>(
    _ tensor: (String) throws -> Tensor<Element>
  ) throws -> TokenEmbedding<Element> {
    TokenEmbedding(words: try tensor(Self.wordEmbeddings), positions: nil, types: nil, norm: nil)
  }

  static let readsTokenOrder = true
  static let poolings = [TokenPooling.last]
  static func classifier(_ task: LearningTask) -> String { "head" }
  static func headHasBias(_ task: LearningTask) -> Bool { false }
  static func libraryClass(_ task: LearningTask) -> String? { "FusedModel" }
  func graph(_ request: ModelRequest) throws(GraphError) -> ModelGraph {
    var builder = try request.builder(sizes)
    builder.addHead(Self.classifier(request.task), from: GraphBuilder.input, outputs: request.outputs, hasBias: false)
    return try builder.graph()
  }
}

/// Tensors that lie in others, or are stored as [inputs, outputs].
@Suite struct StoredPartsTests {
  /// Width 4, 6 tokens.
  private func checkpoint(_ attention: Tensor<Float>) throws -> ModelFixture {
    let fixture = try ModelFixture(
      ModelFixture.llama,
      changing: ["model_type": "fused", "hidden_size": 4, "num_attention_heads": 2, "num_key_value_heads": 2])
    try fixture.writeWeights([
      SafetensorsTensor("wte.weight", Tensor<Float>(zeros: [6, 4])),
      SafetensorsTensor("h.0.c_attn.weight", attention),
      SafetensorsTensor("h.0.c_attn.bias", Tensor<Float>((0..<12).map(Float.init), shape: [12])),
      SafetensorsTensor("h.0.norm.weight", Tensor<Float>(repeating: 1, shape: [4])),
    ])
    return fixture
  }

  private func open(_ fixture: ModelFixture) throws -> HuggingFaceDirectory {
    try HuggingFaceDirectory(fixture.path, families: ModelFamilies.all + [Fused.self])
  }

  /// Entry (input i, output o) is 100 i + o.
  private static let attention: Tensor<Float> = {
    var entries: [Float] = []
    for input in 0..<4 { entries += (0..<12).map { Float(100 * input + $0) } }
    return Tensor(entries, shape: [4, 12])
  }()

  @Test func partsAreCutAndTransposed() throws {
    let model = try open(try checkpoint(Self.attention))
    try model.check(expected: model.configuration.family.storedTensors(pooler: false, languageModelHead: false))
    for (index, part) in Fused.parts.enumerated() {
      let weight: Tensor<Float> = try model.tensor(named: "h.0.\(part).weight")
      #expect(weight.shape == [4, 4])
      for output in 0..<4 {
        for input in 0..<4 {
          let stored = Float(100 * input + 4 * index + output)
          #expect(weight.elements[4 * output + input] == stored)
        }
      }
      let bias: Tensor<Float> = try model.tensor(named: "h.0.\(part).bias")
      let storedBias = (0..<4).map { Float(4 * index + $0) }
      #expect(bias.elements == storedBias)
    }
  }

  @Test func partsAreJoinedAsTheyWereStored() throws {
    let fixture = try checkpoint(Self.attention)
    let model = try open(fixture)
    for name in ["h.0.c_attn.weight", "h.0.c_attn.bias"] {
      let parts = model.configuration.family.tensors.filter { $0.storedName == name }
      let stored = StoredTensor<Float>(
        parts: parts.map { part in
          (part, { () throws(FileError) in try model.tensor(named: part.name) })
        })
      let original: Tensor<Float> = try SafetensorsFile(path: fixture.directory.file("model.safetensors")).tensor(name)
      #expect(stored.name == name)
      #expect(stored.shape == original.shape)
      #expect(try stored.joined() == original)
    }
  }

  @Test func aMatrixThatLacksAPart() throws {
    let model = try open(try checkpoint(Tensor<Float>(zeros: [4, 8])))
    _ = try expectProblem(.shape(name: "h.0.c_attn.weight", expected: [4, 12], found: [4, 8])) {
      try model.check(expected: model.configuration.family.storedTensors(pooler: false, languageModelHead: false))
    }
    _ = try expectProblem(.shape(name: "h.0.value.weight", expected: [4, 4], found: [4, 8])) {
      _ = try model.tensor(named: "h.0.value.weight", as: Float.self)
    }
  }

  @Test func gainsAndWhatTheOwnerKeeps() throws {
    let family = try open(try checkpoint(Self.attention)).configuration.family
    #expect(
      family.gains(.classification) == [
        "h.0.query.weight": "h.0.norm.weight", "h.0.key.weight": "h.0.norm.weight",
        "h.0.value.weight": "h.0.norm.weight",
      ])
    #expect(family.keptTensors.map(\.name) == ["wte.weight"])
    #expect(family.foldedNorms.map(\.name) == ["h.0.norm.weight"])
    #expect(family.pooler == nil)
    #expect(family.languageModelHead == nil)
  }

  @Test func aFamilyThatIsNotAskedForIsNotKnown() throws {
    let fixture = try checkpoint(Self.attention)
    let supported = ModelFamilies.all.flatMap { $0.names }.joined(separator: ", ")
    _ = try expectProblem(.unsupportedSetting("model_type", found: "fused", supported: supported)) {
      _ = try fixture.open()
    }
  }
}
