internal import CSodium
internal import Foundation

/// Bytes of key material, overwritten with zeros when the last reference goes.
///
/// `@unchecked Sendable`: the pointer is set once and freed once, in `deinit`; who writes through it does so before the
/// buffer is shared, or is its only holder (a key stream's chunk).
package final class SecretBuffer: @unchecked Sendable {
  /// Valid while the buffer is referenced; of a buffer that no variable holds, read it in `withUnsafeBytes`.
  package let bytes: UnsafeMutableRawBufferPointer
  /// The same memory, for C.
  let base: UnsafeMutablePointer<UInt8>

  /// Zeros; `byteCount` at least 1.
  package init(byteCount: Int) {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
    base = memory.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    bytes = UnsafeMutableRawBufferPointer(start: memory, count: byteCount)
  }

  /// A copy; the source is the caller's to zero. At least 1 byte.
  package convenience init(copying source: UnsafeRawBufferPointer) {
    self.init(byteCount: source.count)
    bytes.copyMemory(from: source)
  }

  /// Fresh bytes from the operating system's generator (`getrandom`).
  package static func random(byteCount: Int) -> SecretBuffer {
    let buffer = SecretBuffer(byteCount: byteCount)
    Sodium.start()
    randombytes_buf(buffer.base, byteCount)
    return buffer
  }

  deinit {
    // Unlike a plain store, this call is never optimised away.
    sodium_memzero(base, bytes.count)
    bytes.deallocate()
  }
}

/// The pointer is valid during the call only; what copies the bytes must zero its copy.
extension SecretBuffer: ContiguousBytes {
  package func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try body(UnsafeRawBufferPointer(bytes))
  }
}
