import Foundations
import Foundation
import Numerics
import Testing
import TestSupport

@testable import Families
@testable import Files

/// Tiny pretrained models in a directory, as the Hugging Face libraries lay them out.
struct ModelFixture {
  /// 6 tokens, 5 positions, width 4, one block.
  static let bert: [String: JSONValue] = [
    "model_type": "bert", "architectures": .array(["BertModel"]), "hidden_size": 4, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 3, "max_position_embeddings": 5, "vocab_size": 6,
    "type_vocab_size": 2,
    "layer_norm_eps": .number("1e-12"), "hidden_act": "gelu", "pad_token_id": 0, "num_labels": 7,
    "unknown_to_us": .array([.number("10000.0"), .null]),
  ]

  /// 6 tokens, width 8, 4 heads over 2 key heads of width 2, one block.
  static let llama: [String: JSONValue] = [
    "model_type": "llama", "architectures": .array(["LlamaForCausalLM"]), "hidden_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 3, "max_position_embeddings": 5,
    "vocab_size": 6,
    "rms_norm_eps": .number("1e-05"), "rope_theta": .number("10000.0"), "tie_word_embeddings": false,
  ]

  let directory: TemporaryDirectory
  let settings: [String: JSONValue]

  init(_ settings: [String: JSONValue], changing changes: [String: JSONValue] = [:]) throws {
    directory = try TemporaryDirectory()
    self.settings = settings.merging(changes) { $1 }
    try write(JSONValue.object(self.settings).text(), to: "config.json")
  }

  var path: String { directory.path }

  func write(_ text: String, to name: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: directory.file(name)))
  }

  func open() throws(FileError) -> HuggingFaceDirectory { try HuggingFaceDirectory(path) }

  /// The tensors of the configuration; element i of tensor t is t + i/100.
  func tensors(pooler: Bool = false, languageModelHead: Bool = false) throws -> [SafetensorsTensor] {
    try descriptions(pooler: pooler, languageModelHead: languageModelHead).enumerated().map { index, description in
      SafetensorsTensor(description.name, Self.tensor(index, description.shape))
    }
  }

  func descriptions(pooler: Bool = false, languageModelHead: Bool = false) throws -> [TensorDescription] {
    try HuggingFaceConfiguration.parse(Array(JSONValue.object(settings).text().utf8))
      .family.storedTensors(pooler: pooler, languageModelHead: languageModelHead)
  }

  static func tensor(_ index: Int, _ shape: [Int]) -> Tensor<Float> {
    let count = shape.reduce(1, *)
    return Tensor((0..<count).map { Float(index) + Float($0) / 100 }, shape: shape)
  }

  func writeWeights(_ tensors: [SafetensorsTensor]) throws(FileError) {
    try SafetensorsFile.write(tensors, metadata: ["format": "pt"], to: directory.file("model.safetensors"))
  }

  /// Each shard holds its tensors, and the index says so.
  func writeShards(_ shards: [String: [SafetensorsTensor]]) throws {
    var map: [String: JSONValue] = [:]
    for (name, tensors) in shards {
      try SafetensorsFile.write(tensors, metadata: ["format": "pt"], to: directory.file(name))
      for tensor in tensors { map[tensor.name] = .string(name) }
    }
    try writeIndex(map)
  }

  func writeIndex(_ map: [String: JSONValue]) throws {
    try write(
      JSONValue.object(["metadata": .object(["total_size": 1]), "weight_map": .object(map)]).text(),
      to: "model.safetensors.index.json")
  }
}

/// Runs `body`, which must throw `.huggingFace`, and returns its problem.
func expectProblem(
  _ expected: HuggingFaceProblem? = nil, sourceLocation: SourceLocation = #_sourceLocation,
  _ body: () throws -> Void
) throws -> HuggingFaceProblem {
  let error = try #require(throws: FileError.self, sourceLocation: sourceLocation) { try body() }
  guard case .huggingFace(_, let problem) = error else {
    Issue.record("\(error)", sourceLocation: sourceLocation)
    throw error
  }
  if let expected { #expect(problem == expected, sourceLocation: sourceLocation) }
  return problem
}
