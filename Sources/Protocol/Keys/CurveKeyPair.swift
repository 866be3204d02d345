import CZeroMQ
import Glibc

/// A CURVE key pair. The secret half is zeroed when the last copy is released, and never printed.
package struct CurveKeyPair: Sendable, CustomStringConvertible {
  package let publicKey: CurvePublicKey
  private let secret: SecretBytes

  /// What the keys of an owner are listed under at a server.
  package var ownerKey: OwnerKey { OwnerKey(publicKey) }

  /// Derives the public half, so that a pair can never be made of halves that do not belong together.
  ///
  /// - Throws: `.system` when libzmq has no CURVE.
  init(secret: SecretBytes) throws(TransportError) {
    // Both texts end with a zero byte, as libzmq wants them.
    let textCount = CurvePublicKey.textLength + 1
    var publicKey: CurvePublicKey?
    var code: Int32 = 0
    _ = SecretBytes(count: 2 * textCount) { texts in
      let publicText = UnsafeMutableRawBufferPointer(rebasing: texts[..<textCount])
      let secretText = UnsafeMutableRawBufferPointer(rebasing: texts[textCount...])
      let characters = UnsafeMutableRawBufferPointer(rebasing: secretText.dropLast())
      guard secret.withUnsafeBytes({ Z85.encode($0, into: characters) }),
        let publicAddress = publicText.baseAddress, let secretAddress = secretText.baseAddress
      else { return }
      code = zmq_curve_public(
        publicAddress.assumingMemoryBound(to: CChar.self), secretAddress.assumingMemoryBound(to: CChar.self))
      publicKey = CurvePublicKey(z85: String(decoding: publicText.dropLast(), as: UTF8.self))
    }
    guard code == 0, let publicKey else { throw ZeroMQFailure.last("deriving a CURVE public key") }
    self.publicKey = publicKey
    self.secret = secret
  }

  /// A new pair from the operating system's random numbers.
  ///
  /// Neither text starts with `#`, which z85 allows but a key file would take for a comment.
  ///
  /// - Throws: `.system` when libzmq has no CURVE.
  package static func generate() throws(TransportError) -> CurveKeyPair {
    while true {
      let textCount = CurvePublicKey.textLength + 1
      let secret = try SecretBytes(count: CurvePublicKey.byteCount) { (bytes) throws(TransportError) in
        _ = try SecretBytes(count: 2 * textCount) { (texts) throws(TransportError) in
          guard let base = texts.baseAddress,
            zmq_curve_keypair(
              base.assumingMemoryBound(to: CChar.self),
              (base + textCount).assumingMemoryBound(to: CChar.self)) == 0
          else { throw ZeroMQFailure.last("generating CURVE keys") }
          _ = Z85.decode(UnsafeRawBufferPointer(rebasing: texts[textCount...].dropLast()), into: bytes)
        }
      }
      let pair = try CurveKeyPair(secret: secret)
      let startsWithHash = pair.withSecretText { $0.first == UInt8(ascii: "#") }
      if !startsWithHash, !pair.publicKey.z85.hasPrefix("#") { return pair }
    }
  }

  /// Gives the 32 secret bytes to `body`, for deriving other keys from them. The pointer is valid during `body` only.
  package func withSecretBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try secret.withUnsafeBytes(body)
  }

  /// The secret's 40 characters, zeroed after `body`.
  func withSecretText<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let text = SecretBytes(count: CurvePublicKey.textLength) { text in
      _ = secret.withUnsafeBytes { Z85.encode($0, into: text) }
    }
    return try text.withUnsafeBytes(body)
  }

  package var description: String { "CurveKeyPair(public: \(publicKey), secret: hidden)" }
}

/// A CURVE public key: 32 bytes, written as 40 characters of z85.
package struct CurvePublicKey: Hashable, Sendable, CustomStringConvertible {
  package static let byteCount = 32
  package static let textLength = 40

  package let bytes: [UInt8]

  /// Nil unless there are 32 bytes.
  package init?(bytes: some Collection<UInt8>) {
    guard bytes.count == Self.byteCount else { return nil }
    self.bytes = Array(bytes)
  }

  /// Nil unless the text is 40 characters of z85.
  package init?(z85 text: String) {
    var bytes = [UInt8](repeating: 0, count: Self.byteCount)
    let isValid = Array(text.utf8).withUnsafeBytes { text in
      bytes.withUnsafeMutableBytes { Z85.decode(text, into: $0) }
    }
    guard isValid else { return nil }
    self.bytes = bytes
  }

  package var z85: String {
    var text = [UInt8](repeating: 0, count: Self.textLength)
    _ = bytes.withUnsafeBytes { bytes in
      text.withUnsafeMutableBytes { Z85.encode(bytes, into: $0) }
    }
    return String(decoding: text, as: UTF8.self)
  }

  package var description: String { z85 }
}

/// ZeroMQ's text form of binary keys: 4 bytes as 5 characters (ZeroMQ RFC 32).
///
/// Works on buffers the caller owns, so that a secret's text never lies in memory that nobody zeroes.
enum Z85 {
  private static let alphabet = Array(
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#".utf8)
  private static let digits: [UInt8?] = {
    var digits = [UInt8?](repeating: nil, count: 256)
    for (value, character) in alphabet.enumerated() { digits[Int(character)] = UInt8(value) }
    return digits
  }()

  /// False when the sizes do not fit (4n bytes, 5n characters).
  static func encode(_ bytes: UnsafeRawBufferPointer, into text: UnsafeMutableRawBufferPointer) -> Bool {
    guard bytes.count.isMultiple(of: 4), text.count == bytes.count / 4 * 5 else { return false }
    for group in 0..<bytes.count / 4 {
      var value = bytes[group * 4..<group * 4 + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      for place in (0..<5).reversed() {
        text[group * 5 + place] = alphabet[Int(value % 85)]
        value /= 85
      }
    }
    return true
  }

  /// False when the sizes do not fit or a character or a group of five encodes no bytes.
  static func decode(_ text: UnsafeRawBufferPointer, into bytes: UnsafeMutableRawBufferPointer) -> Bool {
    guard text.count.isMultiple(of: 5), bytes.count == text.count / 5 * 4 else { return false }
    for group in 0..<text.count / 5 {
      var value: UInt64 = 0
      for character in text[group * 5..<group * 5 + 5] {
        guard let digit = digits[Int(character)] else { return false }
        value = value * 85 + UInt64(digit)
      }
      guard let word = UInt32(exactly: value) else { return false }
      for place in 0..<4 {
        bytes[group * 4 + place] = UInt8(truncatingIfNeeded: word >> UInt32(24 - 8 * place))
      }
    }
    return true
  }
}

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
