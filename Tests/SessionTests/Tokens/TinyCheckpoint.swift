import Models
@testable import Families
@testable import Files
import Foundation
import Numerics
import Protocol
import TestSupport

/// A pretrained model of a few thousand numbers, as the Hugging Face libraries write one.
enum TinyCheckpoint {
  static let vocabulary = 20
  static let positions = 12

  /// - Parameter zeroed: the name of a tensor that is to be nothing but zeros.
  static func write(
    _ family: TransformerFamily, to directory: URL, seed: UInt64 = 9, zeroing zeroed: String? = nil,
    hasPooler: Bool = true
  ) throws {
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    let settings = family == .bert ? bert : llama
    try Data(settings.utf8).write(to: directory.appending(path: "config.json"))
    let configuration = try HuggingFaceConfiguration.parse(Array(settings.utf8))
    var random = SplitMix(seed: seed)
    let tensors = configuration.family.storedTensors(
      pooler: family == .bert && hasPooler, languageModelHead: family == .llama
    ).map {
      description in
      // Gains near 1 and of both sizes, so that folding one wrongly shows.
      let isGain = description.shape.count == 1 && description.name.hasSuffix("orm.weight")
      let values = (0..<description.shape.reduce(1, *)).map { _ in
        description.name == zeroed ? 0 : random.nextValue() * 0.4 + (isGain ? 1 : 0)
      }
      return SafetensorsTensor(description.name, Tensor<Float>(values, shape: description.shape))
    }
    try SafetensorsFile.write(tensors, to: directory.appending(path: "model.safetensors").path)
  }

  private static let bert = """
    {"model_type": "bert", "vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
     "intermediate_size": 12, "hidden_act": "gelu", "max_position_embeddings": 12, "type_vocab_size": 2,
     "layer_norm_eps": 1e-12, "pad_token_id": 0}
    """
  private static let llama = """
    {"model_type": "llama", "vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 4,
     "num_key_value_heads": 2, "intermediate_size": 12, "hidden_act": "silu", "max_position_embeddings": 12,
     "rms_norm_eps": 1e-6, "rope_theta": 100.0, "tie_word_embeddings": false, "pad_token_id": 0}
    """
}
