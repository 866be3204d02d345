import Datasets
package import Foundation

/// A language model of a few thousand numbers with room for texts, and prompts for it.
package enum TinyTexts {
  /// Tokens of a text with its continuation.
  package static let positions = 96

  /// - Parameters:
  ///   - endTokens: as config.json names them.
  ///   - zeroed: a tensor of nothing but zeros.
  package static func writeModel(to directory: URL, endTokens: [Int] = [], zeroing zeroed: String? = nil) throws {
    try TinyCheckpoint.write(.llama, to: directory, zeroing: zeroed)
    let configuration = directory.appending(path: "config.json")
    // No weight depends on the number of positions.
    let settings = try String(contentsOf: configuration, encoding: .utf8).replacing(
      "\"max_position_embeddings\": \(TinyCheckpoint.positions)",
      with: "\"max_position_embeddings\": \(positions), \"eos_token_id\": \(endTokens)")
    try Data(settings.utf8).write(to: configuration)
  }

  /// `input_ids` and `attention_mask`, padding at the end.
  ///
  /// - Parameter columns: nil for as many as the longest has tokens.
  @discardableResult
  package static func write(_ texts: [[Int32]], to file: URL, columns: Int? = nil) throws -> URL {
    let width = columns ?? texts.map(\.count).max() ?? 1
    let writer = try HDF5Writer(path: file.path)
    for name in ["input_ids", "attention_mask"] { try writer.createMatrix(name, columns: width, of: Int32.self) }
    for text in texts {
      let padding = [Int32](repeating: 0, count: width - text.count)
      try writer.append(text + padding, to: "input_ids")
      try writer.append(text.map { _ in 1 } + padding, to: "attention_mask")
    }
    try writer.commit()
    return file
  }
}
