import Datasets
import Foundation

/// A random BERT of two thousand numbers as a directory of the Hugging Face libraries, and token sequences for it.
struct TokenFiles {
  static let columns = 10
  static let width = 8

  var rows = 40
  /// Of a row and a column.
  var id: (Int, Int) -> Int64 = { row, column in Int64(1 + (row * 7 + column * 5) % 19) }
  var mask: (Int, Int) -> Int64 = { row, column in column < 3 + row % 8 ? 1 : 0 }
  var tag: (Int, Int) -> Int64 = { row, column in (row + column) % 4 == 3 ? -100 : Int64((row + column) % 3) }
  /// Settings of `config.json` in place of its own.
  var settings: [String: Any] = [:]
  /// What `value` of a tensor's name and place is to be.
  var value: (String, Int, Float) -> Float = { _, _, value in value }

  func write(to site: Site) throws {
    try writeTokens(to: site["tokens.h5"])
    try FileManager.default.createDirectory(atPath: site["bert"], withIntermediateDirectories: true)
    let all = Self.settings.merging(settings) { $1 }
    try JSONSerialization.data(withJSONObject: all).write(to: URL(filePath: site["bert/config.json"]))
    try weights().write(to: URL(filePath: site["bert/model.safetensors"]))
  }

  func writeTokens(to path: String) throws {
    let writer = try HDF5Writer(path: path)
    defer { writer.abandon() }
    for (name, entry) in [("ids", id), ("mask", mask), ("tags", tag)] {
      try writer.createMatrix(name, columns: Self.columns, of: Int64.self)
      try writer.append((0..<rows).flatMap { row in (0..<Self.columns).map { entry(row, $0) } }, to: name)
    }
    try writer.write((0..<rows).map { id($0, 1) % 3 }, to: "labels")
    try writer.commit()
  }

  private static var settings: [String: Any] {
    [
      "model_type": "bert", "vocab_size": 20, "hidden_size": width, "num_hidden_layers": 1, "num_attention_heads": 2,
      "intermediate_size": 12, "hidden_act": "gelu", "max_position_embeddings": 12, "type_vocab_size": 2,
      "layer_norm_eps": 1e-12, "pad_token_id": 0,
    ]
  }

  private static var shapes: [(String, [Int])] {
    func linear(_ name: String, _ outputs: Int, _ inputs: Int) -> [(String, [Int])] {
      [("\(name).weight", [outputs, inputs]), ("\(name).bias", [outputs])]
    }
    let block = "bert.encoder.layer.0."
    return [
      ("bert.embeddings.word_embeddings.weight", [20, width]),
      ("bert.embeddings.position_embeddings.weight", [12, width]),
      ("bert.embeddings.token_type_embeddings.weight", [2, width]),
    ] + norm("bert.embeddings.LayerNorm")
      + ["query", "key", "value"].flatMap { linear("\(block)attention.self.\($0)", width, width) }
      + linear("\(block)attention.output.dense", width, width) + norm("\(block)attention.output.LayerNorm")
      + linear("\(block)intermediate.dense", 12, width) + linear("\(block)output.dense", width, 12)
      + norm("\(block)output.LayerNorm") + linear("bert.pooler.dense", width, width)
  }

  private static func norm(_ name: String) -> [(String, [Int])] {
    [("\(name).weight", [width]), ("\(name).bias", [width])]
  }

  /// The format of safetensors: the header's length as 8 bytes, the header as JSON, the numbers.
  private func weights() throws -> Data {
    var header: [String: Any] = [:]
    var numbers = Data()
    var state: UInt32 = 1
    for (name, shape) in Self.shapes {
      let start = numbers.count
      for place in 0..<shape.reduce(1, *) {
        state = state &* 1_664_525 &+ 1_013_904_223
        let noise = Float(state >> 8) / Float(1 << 24) - 0.5
        let entry = value(name, place, name.hasSuffix("Norm.weight") ? 1 + 0.2 * noise : noise)
        withUnsafeBytes(of: entry.bitPattern.littleEndian) { numbers.append(contentsOf: $0) }
      }
      header[name] = ["dtype": "F32", "shape": shape, "data_offsets": [start, numbers.count]]
    }
    let text = try JSONSerialization.data(withJSONObject: header)
    return withUnsafeBytes(of: UInt64(text.count).littleEndian) { Data($0) } + text + numbers
  }
}
