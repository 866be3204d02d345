/// Sizes in messages to people.
enum ByteText {
  /// In MiB with one decimal; in bytes where that would say 0.0, or next to nothing.
  static func text(_ bytes: Int) -> String {
    guard bytes >= 1 << 20 else { return "\(bytes) bytes" }
    let tenths = bytes / (1 << 20) * 10 + bytes % (1 << 20) * 10 / (1 << 20)
    return "\(tenths / 10).\(tenths % 10) MiB"
  }
}
