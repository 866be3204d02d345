internal import Foundation

/// Bytes of key material, overwritten with zeros when the last reference goes.
///
/// `@unchecked Sendable`: the pointer is set once and freed once, in `deinit`; who writes through it does so before the
/// buffer is shared, or is its only holder (a `KeyStream`'s chunk).
final class SecretBuffer: @unchecked Sendable {
  let bytes: UnsafeMutableRawBufferPointer

  /// Zeros; `byteCount` at least 1.
  init(byteCount: Int) {
    bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
    bytes.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit {
    if let base = bytes.baseAddress { explicit_bzero(base, bytes.count) }
    bytes.deallocate()
  }
}
