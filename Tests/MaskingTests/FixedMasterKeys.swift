import Cryptography
import Foundations

@testable import Masking

extension MasterKey {
  /// The same key in every run, so that the outcome of a test of random draws is too.
  static func fixed(seed: Int) -> MasterKey {
    let number = withUnsafeBytes(of: UInt64(seed).bigEndian) { Array($0) }
    return MasterKey(
      job: JobID(bytes: Array(repeating: 0, count: JobID.byteCount - number.count) + number),
      secret: Array(UInt8(0)..<32).withUnsafeBytes { SecretBuffer(copying: $0) })
  }
}
