import Glibc

/// Memory for a secret, of a size fixed at the start and zeroed at the end.
///
/// The memory is written only while `init` runs, so that reading it from several threads is safe; hence
/// `@unchecked Sendable` in spite of the pointer.
final class SecretBytes: @unchecked Sendable, CustomStringConvertible, CustomReflectable {
  private let memory: UnsafeMutableRawBufferPointer

  /// `fill` gets `count` zeroed bytes to write.
  init<Failure: Error>(count: Int, fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void) throws(Failure) {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
    memory.initializeMemory(as: UInt8.self, repeating: 0)
    self.memory = memory
    try fill(memory)
  }

  deinit {
    // Unlike a plain store, this call is never optimised away.
    if let address = memory.baseAddress { explicit_bzero(address, memory.count) }
    memory.deallocate()
  }

  /// The pointer is valid during `body` only; `body` must not copy the bytes to memory that is not zeroed.
  func withUnsafeBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(UnsafeRawBufferPointer(memory))
  }

  var description: String { "<\(memory.count) secret bytes>" }

  /// Keeps `dump` and `String(reflecting:)` from showing the memory's address.
  var customMirror: Mirror { Mirror(self, children: []) }
}
