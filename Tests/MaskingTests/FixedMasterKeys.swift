import Cryptography

@testable import Masking

extension MasterKey {
  /// The same key in every run, so that the outcome of a test of random draws is too.
  static func fixed(seed: Int) -> MasterKey {
    let digits = String(seed, radix: 16)
    let name = String(repeating: "0", count: JobIdentifier.characterCount - digits.count) + digits
    return MasterKey(
      job: JobIdentifier(name) ?? JobIdentifier(),
      secret: Array(UInt8(0)..<32).withUnsafeBytes { SecretBuffer(copying: $0) })
  }
}
