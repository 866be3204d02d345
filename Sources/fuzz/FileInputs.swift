import Families
import Files
import Foundation
import Foundations
import JobSpec
import Models
import Training

/// Input bytes as the config.json of a pretrained model.
enum ConfigurationInput {
  static func run(_ input: Data) {
    guard let configuration = try? HuggingFaceConfiguration.parse(Array(input)) else { return }
    let text = JSONValue.object(configuration.document).text()
    let again = try? HuggingFaceConfiguration.parse(Array(text.utf8))
    precondition(
      again?.document == configuration.document && again?.sizes == configuration.sizes,
      "a configuration changed when it was written")
    // A model of many blocks has nothing in it that one of a few has not, but takes long to spell out.
    guard configuration.sizes.blocks <= 4 else { return }
    for named in configuration.family.storedTensors(pooler: true, languageModelHead: true) {
      precondition(named.shape.allSatisfy { $0 > 0 }, "a tensor without elements")
    }
    let request = ModelRequest(
      task: .classification, pooling: .mean, pooler: nil, outputs: 2, trained: .all, maximumTokens: 8,
      recomputes: false)
    if let graph = try? configuration.family.graph(request) { _ = Model(graph) }
  }

  static let seeds: [Data] = [
    #"{"model_type": "bert", "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 16, "#
      + #""hidden_act": "gelu", "layer_norm_eps": 1e-12, "vocab_size": 20, "max_position_embeddings": 16, "type_vocab_size": 2}"#,
    #"{"model_type": "llama", "hidden_size": 8, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4, "num_hidden_layers": 2, "#
      + #""rope_theta": 10000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "#
      + #""original_max_position_embeddings": 8192}, "attention_bias": true, "mlp_bias": true, "tie_word_embeddings": true}"#,
    #"{"model_type": "roberta", "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 16, "#
      + #""max_position_embeddings": 18, "type_vocab_size": 1, "pad_token_id": 1, "vocab_size": 20}"#,
    #"{"model_type": "distilbert", "dim": 8, "n_heads": 2, "n_layers": 1, "hidden_dim": 16, "activation": "relu", "vocab_size": 20}"#,
    #"{"model_type": "electra", "embedding_size": 6, "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 20}"#,
    #"{"attention_probs_dropout_prob": 0.1, "hidden_act": "gelu", "hidden_size": 8, "initializer_range": 0.02, "intermediate_size": 16, "#
      + #""max_position_embeddings": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "type_vocab_size": 2, "vocab_size": 20}"#,
  ].map { Data($0.utf8) }
}

/// Input bytes as a job specification.
enum JobInput {
  static func run(_ input: Data) {
    guard let job = resolve(Array(input)) else { return }
    // What is written to `job.resolved.yaml` must give the same job when a run is resumed.
    let text = job.yaml()
    precondition(resolve(Array(text.utf8)) == job, "a resolved job changed when it was read again")
  }

  private static func resolve(_ bytes: [UInt8]) -> ResolvedJob? {
    try? JobSpecification.parse(bytes: bytes)
      .resolved(jobDirectory: "/jobs", workingDirectory: "/jobs", checkFiles: false)
  }
}

/// Input bytes as the beginning of a safetensors file.
enum SafetensorsInput {
  static func run(_ input: Data) {
    let bytes = Array(input)
    // As a whole file, and as the beginning of a larger one whose data would follow.
    for length in [bytes.count, 1 << 40] {
      guard let header = try? SafetensorsHeader.parse(bytes: bytes, fileLength: length) else { continue }
      let data = header.entries.reduce(0) { $0 + ($1.end - $1.begin) }
      precondition(header.dataOffset + data == length, "tensors that do not fill the file")
    }
  }
}

/// Beginnings of safetensors files: 8 bytes of length, then JSON, then the data.
enum SafetensorsSeeds {
  static let inputs: [Data] = [
    file(#"{"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}"#, data: 8),
    file(
      #"{"__metadata__":{"k\u00e9\ud83d\ude00":"v\n"},"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]},"#
        + #""c":{"shape":[],"dtype":"F64","data_offsets":[0,8]}}  "#, data: 11),
    file(#"{"e":{"dtype":"BF16","shape":[0,5],"data_offsets":[0,0]}}"#, data: 0), file("{}", data: 0),
  ]

  private static func file(_ json: String, data: Int) -> Data {
    var bytes = withUnsafeBytes(of: UInt64(json.utf8.count).littleEndian) { Data($0) }
    bytes.append(contentsOf: Array(json.utf8))
    return bytes + Data(count: data)
  }
}

/// Job specifications that use every key between them.
enum JobSeeds {
  static let inputs: [Data] = [
    """
    name: tox21
    trainer: tcp://127.0.0.1:5570
    data:
      file: tox21.h5
      features: fingerprints            # a comment
      labels: "obs[bulk_labels]"
      split: {validation: 0.2, seed: 7}
      standardize: false
    task: multilabel
    model:
      mlp: {hidden: [512, 128], activation: relu}
    masking: {strength: rotation, padding: 1, exact: true}
    loss: {where: owner}
    optimizer: {name: sgd, lr: 0.2, momentum: 0.9, nesterov: true, weight_decay: 0.0, clip_norm: 1.0}
    schedule: {warmup: 0.06, decay: linear}
    train: {epochs: 8, batch: 64, micro_batch: 16, seed: 1, keep: best}
    checkpoint: {every_steps: 100}
    """,
    """
    name: a
    data: {file: "/x\\u00e9\\n.h5", features: 'X''s', labels: y, split: {by: abstract, modulo: 5, equals: 4}}
    task: regression
    model: {mlp: {hidden: []}}
    optimizer: {lr: 1e-3, name: adamw, clip_norm: none}
    masking: {strength: permutation, adapter: {width: 40}, noise: {sigma: 0.25}}
    audit:
      gate: {known_rows_min: 32, spectral_recovery_max: 0.1, source_separation_max: 0.1, linkage_max: 0.01, key_error_min: 0.5,
             token_recovery_max: 0.05, label_information_max: 0.2, matching_max: 0.6, membership_max: 0.02,
             repeated_questions_max: 0.3, copies_error_min: 0.5, cache_max: 0.25}
    """,
    """
    ---
    name: b
    data:
      file: |
        a
      features: >-
        b
        c
      labels: ~
      split:
        validation_rows: split/v
    task: classification
    model:
      mlp:
        hidden:
          - 3
          - 0x10
        activation: tanh
    loss: {where: trainer}
    optimizer: {lr: .5, name: muon, momentum: 0.95}
    schedule: {decay: cosine}
    ...
    """,
  ].map { Data($0.utf8) }
}
