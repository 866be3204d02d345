/// The hash of a checkpoint file's content: of every tensor's name, shape and bytes in order, then of the metadata, which
/// is last because a file's own says more than is known when its first tensor is written.
struct CheckpointHash {
  private var hash = ContentHash()

  mutating func begin(_ tensor: TensorDescription) {
    hash.update("\(tensor.name)\(tensor.shape)\n")
  }

  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    hash.update(bytes)
  }

  /// 16 hexadecimal digits.
  func text(_ metadata: [String: String]) -> String {
    var hash = hash
    for (key, text) in metadata.sorted(by: { $0.key < $1.key }) where key != CheckpointFormat.hashKey {
      hash.update("\(key)=\(text)\n")
    }
    let digits = String(hash.value(), radix: 16)
    return String(repeating: "0", count: Self.digits - digits.count) + digits
  }

  static let digits = 16
  /// Stands in a file whose hash is not known yet.
  static let placeholder = String(repeating: "0", count: digits)
}
