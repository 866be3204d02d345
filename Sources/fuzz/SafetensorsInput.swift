import Checkpoints
import Foundation

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
