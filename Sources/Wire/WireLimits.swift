/// Caps that a parser applies before it allocates anything.
package struct WireLimits: Sendable, Equatable {
  /// Bytes of one tensor frame.
  package var tensorBytes: Int
  /// Bytes of a header frame, JSON body included.
  package var headerBytes: Int

  /// Characters of a reason, and of a name (of a program, a kernel, a metric), in their printable form.
  static let reasonLength = 2000
  static let nameLength = 80

  package init(tensorBytes: Int = 64 << 20, headerBytes: Int = 1 << 20) {
    self.tensorBytes = tensorBytes
    self.headerBytes = headerBytes
  }
}
