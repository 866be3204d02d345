/// Sizes in messages to people.
enum Mebibytes {
  /// With one decimal.
  static func text(_ bytes: Int) -> String {
    let tenths = bytes / (1 << 20) * 10 + bytes % (1 << 20) * 10 / (1 << 20)
    return "\(tenths / 10).\(tenths % 10)"
  }
}
