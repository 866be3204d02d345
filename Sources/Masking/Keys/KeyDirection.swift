/// Which way a key is applied.
enum KeyDirection: Sendable {
  /// K.
  case mask
  /// K⁻¹, which is Kᵀ for every key here.
  case unmask
}
