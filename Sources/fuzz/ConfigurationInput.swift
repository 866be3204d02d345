import Architecture
import Checkpoints
import Foundation
import Training

/// Input bytes as the config.json of a pretrained model.
enum ConfigurationInput {
  static func run(_ input: Data) {
    guard let configuration = try? HuggingFaceConfiguration.parse(Array(input)) else { return }
    let text = JSONValue.object(configuration.document).text()
    precondition(
      (try? HuggingFaceConfiguration.parse(Array(text.utf8))) == configuration,
      "a configuration changed when it was written")
    // A model of many blocks has nothing in it that one of a few has not, but takes long to spell out.
    guard configuration.blocks <= 4 else { return }
    for named in configuration.tensors(pooler: true, languageModelHead: true) {
      precondition(named.shape.allSatisfy { $0 > 0 }, "a tensor without elements")
    }
    let described = configuration.transformer(
      head: TransformerHead(
        pooling: .mean, hasPooler: false, outputs: 2, hasBias: true, isLanguageModel: false), trained: .all,
      maximumTokens: 8, recomputes: false)
    _ = try? Model(.transformer(described))
  }

  static let seeds: [Data] = [
    #"{"model_type": "bert", "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 16, "#
      + #""hidden_act": "gelu", "layer_norm_eps": 1e-12, "vocab_size": 20, "max_position_embeddings": 16, "type_vocab_size": 2}"#,
    #"{"model_type": "llama", "hidden_size": 8, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4, "num_hidden_layers": 2, "#
      + #""rope_theta": 10000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "#
      + #""original_max_position_embeddings": 8192}, "attention_bias": true, "mlp_bias": true, "tie_word_embeddings": true}"#,
  ].map { Data($0.utf8) }
}
