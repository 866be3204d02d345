import Datasets
package import Families
import Files
package import Foundation
import Numerics

/// The families that tests train a small model of, as `model_type` calls them: all that there are.
package enum TinyFamily: String, Sendable, CaseIterable {
  case bert
  case llama
  case roberta
  case distilbert
  case electra

  /// What config.json says.
  fileprivate var settings: String {
    switch self {
    case .bert:
      """
      {"model_type": "bert", "vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
       "intermediate_size": 12, "hidden_act": "gelu", "max_position_embeddings": 12, "type_vocab_size": 2,
       "layer_norm_eps": 1e-12, "pad_token_id": 0}
      """
    case .llama:
      """
      {"model_type": "llama", "vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 4,
       "num_key_value_heads": 2, "intermediate_size": 12, "hidden_act": "silu", "max_position_embeddings": 12,
       "rms_norm_eps": 1e-6, "rope_theta": 100.0, "tie_word_embeddings": false, "pad_token_id": 0}
      """
    case .roberta:
      // Two rows of positions for the padding token and the id below it.
      """
      {"model_type": "roberta", "vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
       "intermediate_size": 12, "hidden_act": "gelu", "max_position_embeddings": 14, "type_vocab_size": 1,
       "layer_norm_eps": 1e-5, "pad_token_id": 1}
      """
    case .distilbert:
      """
      {"model_type": "distilbert", "vocab_size": 20, "dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 12,
       "activation": "gelu", "max_position_embeddings": 12, "pad_token_id": 0}
      """
    case .electra:
      """
      {"model_type": "electra", "vocab_size": 20, "embedding_size": 6, "hidden_size": 8, "num_hidden_layers": 2,
       "num_attention_heads": 2, "intermediate_size": 12, "hidden_act": "gelu", "max_position_embeddings": 12,
       "type_vocab_size": 2, "layer_norm_eps": 1e-12, "pad_token_id": 0}
      """
    }
  }

  package func model() throws -> any ModelFamily {
    try HuggingFaceConfiguration.parse(Array(settings.utf8)).family
  }
}

/// A pretrained model of a few thousand numbers, as the Hugging Face libraries write one.
package enum TinyCheckpoint {
  package static let vocabulary = 20
  package static let positions = 12

  /// - Parameters:
  ///   - zeroed: the name of a tensor that is to be nothing but zeros.
  ///   - hasPooler: of a family that may have one.
  package static func write(
    _ family: TinyFamily, to directory: URL, seed: UInt64 = 9, zeroing zeroed: String? = nil, hasPooler: Bool = true
  ) throws {
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    try Data(family.settings.utf8).write(to: directory.appending(path: "config.json"))
    let model = try family.model()
    var random = SplitMix(seed: seed)
    let tensors = model.storedTensors(
      pooler: hasPooler, languageModelHead: !model.sizes.tiesWordEmbeddings
    ).map { description in
      // Gains near 1 and of both sizes, so that folding one wrongly shows.
      let isGain = description.shape.count == 1 && description.name.hasSuffix(".weight")
      let values = (0..<description.shape.reduce(1, *)).map { _ in
        description.name == zeroed ? 0 : random.nextValue() * 0.4 + (isGain ? 1 : 0)
      }
      return SafetensorsTensor(description.name, Tensor<Float>(values, shape: description.shape))
    }
    try SafetensorsFile.write(tensors, to: directory.appending(path: "model.safetensors").path)
  }
}

/// Token sequences with labels of every kind in an HDF5 file.
package struct TokenData: Sendable {
  package static let columns = 10
  package static let classes = 3

  package let file: URL

  /// - Parameters:
  ///   - seed: of all numbers but those that `change` makes.
  ///   - change: what a test of bad data does to a row's ids, mask and label.
  package init(
    in directory: TemporaryDirectory, rows: Int = 30, name: String = "tokens", seed: UInt64 = 4,
    _ change: (Int, inout [Int64], inout [Int64], inout Int64) -> Void = { _, _, _, _ in }
  ) throws {
    file = directory.url("\(name).h5")
    var random = SplitMix(seed: seed)
    let writer = try HDF5Writer(path: file.path)
    for column in ["ids", "mask", "types", "tags"] {
      try writer.createMatrix(column, columns: Self.columns, of: Int64.self)
    }
    for column in ["tasks", "targets"] { try writer.createMatrix(column, columns: 2, of: Float.self) }
    var labels: [Int64] = []
    for row in 0..<rows {
      let length = 3 + Int(random.next() % UInt64(Self.columns - 2))
      var ids = (0..<Self.columns).map { $0 < length ? Int64(1 + random.next() % 19) : 0 }
      var mask = (0..<Self.columns).map { Int64($0 < length ? 1 : 0) }
      var label = Int64(ids[1]) % 3
      change(row, &ids, &mask, &label)
      labels.append(label)
      try writer.append(ids, to: "ids")
      try writer.append(mask, to: "mask")
      try writer.append((0..<Self.columns).map { Int64($0 < 2 ? 0 : 1) }, to: "types")
      try writer.append(ids.map { $0 % 4 == 3 ? -100 : $0 % 3 }, to: "tags")
      try writer.append([random.nextValue() > 0 ? 1 : 0, row % 5 == 0 ? .nan : Float(row % 2)], to: "tasks")
      try writer.append([random.nextValue(), random.nextValue()], to: "targets")
    }
    try writer.write(labels, to: "labels")
    try writer.commit()
  }
}
