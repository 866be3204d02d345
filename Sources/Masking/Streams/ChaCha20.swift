/// The ChaCha20 block function (RFC 8439 §2.3) with the original 64-bit block counter and 64-bit nonce, four blocks at a
/// time, one block in each vector lane.
///
/// swift-crypto has ChaCha20 only inside ChaChaPoly, which frees its keystream without zeroing it and may throw; a key
/// could then be expanded again from freed memory. The tests compare the two bit by bit. Additions, exclusive ors and
/// rotations only, so the time does not depend on the key.
enum ChaCha20 {
  static let keyByteCount = 32
  /// Bytes one call of `fill` writes a step; `output.count` is a multiple of it.
  static let stepByteCount = 256

  /// Writes the keystream from block `counter` on.
  ///
  /// - Parameter key: `keyByteCount` bytes.
  static func fill(
    _ output: UnsafeMutableRawBufferPointer, key: UnsafeRawBufferPointer, nonce: UInt64, counter: UInt64
  ) {
    var counter = counter
    for offset in stride(from: 0, to: output.count, by: stepByteCount) {
      step(UnsafeMutableRawBufferPointer(rebasing: output[offset..<offset + stepByteCount]), key, nonce, counter)
      counter &+= 4
    }
  }

  private typealias Lanes = SIMD4<UInt32>

  /// The left shift is written as a product, which the compiler turns back into one vector shift; from two shifts it makes
  /// a rotation of each lane by itself, which runs at a fifth of the speed.
  @inline(__always)
  private static func rotate(_ value: Lanes, _ count: UInt32) -> Lanes {
    (value &* Lanes(repeating: 1 &<< count)) | (value &>> Lanes(repeating: 32 &- count))
  }

  @inline(__always)
  private static func quarterRound(_ a: inout Lanes, _ b: inout Lanes, _ c: inout Lanes, _ d: inout Lanes) {
    a &+= b
    d = rotate(d ^ a, 16)
    c &+= d
    b = rotate(b ^ c, 12)
    a &+= b
    d = rotate(d ^ a, 8)
    c &+= d
    b = rotate(b ^ c, 7)
  }

  private static func step(
    _ output: UnsafeMutableRawBufferPointer, _ key: UnsafeRawBufferPointer, _ nonce: UInt64, _ counter: UInt64
  ) {
    func word(_ index: Int) -> Lanes {
      Lanes(repeating: UInt32(littleEndian: key.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)))
    }
    let blocks = SIMD4<UInt64>(repeating: counter) &+ SIMD4(0, 1, 2, 3)
    let low = Lanes(truncatingIfNeeded: blocks)
    let high = Lanes(truncatingIfNeeded: blocks &>> 32)
    // "expand 32-byte k"
    let s0 = Lanes(repeating: 0x6170_7865)
    let s1 = Lanes(repeating: 0x3320_646e)
    let s2 = Lanes(repeating: 0x7962_2d32)
    let s3 = Lanes(repeating: 0x6b20_6574)
    let (s4, s5, s6, s7) = (word(0), word(1), word(2), word(3))
    let (s8, s9, s10, s11) = (word(4), word(5), word(6), word(7))
    let s14 = Lanes(repeating: UInt32(truncatingIfNeeded: nonce))
    let s15 = Lanes(repeating: UInt32(truncatingIfNeeded: nonce >> 32))
    var (x0, x1, x2, x3) = (s0, s1, s2, s3)
    var (x4, x5, x6, x7) = (s4, s5, s6, s7)
    var (x8, x9, x10, x11) = (s8, s9, s10, s11)
    var (x12, x13, x14, x15) = (low, high, s14, s15)
    for _ in 0..<10 {
      quarterRound(&x0, &x4, &x8, &x12)
      quarterRound(&x1, &x5, &x9, &x13)
      quarterRound(&x2, &x6, &x10, &x14)
      quarterRound(&x3, &x7, &x11, &x15)
      quarterRound(&x0, &x5, &x10, &x15)
      quarterRound(&x1, &x6, &x11, &x12)
      quarterRound(&x2, &x7, &x8, &x13)
      quarterRound(&x3, &x4, &x9, &x14)
    }
    func write(_ a: Lanes, _ b: Lanes, _ c: Lanes, _ d: Lanes, word: Int) {
      for block in 0..<4 {
        output.storeBytes(
          of: Lanes(a[block], b[block], c[block], d[block]), toByteOffset: 64 * block + 4 * word, as: Lanes.self)
      }
    }
    write(x0 &+ s0, x1 &+ s1, x2 &+ s2, x3 &+ s3, word: 0)
    write(x4 &+ s4, x5 &+ s5, x6 &+ s6, x7 &+ s7, word: 4)
    write(x8 &+ s8, x9 &+ s9, x10 &+ s10, x11 &+ s11, word: 8)
    write(x12 &+ low, x13 &+ high, x14 &+ s14, x15 &+ s15, word: 12)
  }
}
