package import Foundation

/// An endless deterministic sequence of random numbers: HKDF-SHA256 of a secret by a label gives a ChaCha20 key, whose
/// keystream is read as little-endian 64-bit words.
///
/// The same secret and label give the same numbers on every machine (Gaussians to the last bits of the C library's
/// logarithm and cosine). Also for choices that need no secrecy, such as shuffles by a job's seed. One reader at a time:
/// not sendable.
package final class KeyStream {
  private static let chunkByteCount = 1024

  private let key: SecretBuffer
  private let nonce: UInt64
  private let chunk = SecretBuffer(byteCount: chunkByteCount)
  private var nextBlock: UInt64 = 0
  /// Bytes of the chunk that were read.
  private var offset = chunkByteCount

  /// - Parameters:
  ///   - secret: HKDF's input keying material: a master key, or the bytes of a seed that needs no secrecy.
  ///   - label: HKDF's info: what the numbers are for, never the same for two purposes under one secret.
  package convenience init(secret: some ContiguousBytes, label: String) {
    let key = secret.withUnsafeBytes {
      HKDF.deriveKey(from: $0, info: Array(label.utf8), byteCount: ChaCha20.keyByteCount)
    }
    self.init(key: key, nonce: 0)
  }

  private init(key: SecretBuffer, nonce: UInt64) {
    self.key = key
    self.nonce = nonce
  }

  /// Independent streams under the same key, so that several threads can each draw their own part; `index` at least 0.
  /// None overlaps another or the stream it is made from.
  package func substreams() -> @Sendable (_ index: Int) -> KeyStream {
    let key = key
    return { KeyStream(key: key, nonce: UInt64($0) + 1) }
  }

  package func nextWord() -> UInt64 {
    if offset == Self.chunkByteCount { refill() }
    let word = chunk.bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    offset += 8
    return UInt64(littleEndian: word)
  }

  private func refill() {
    ChaCha20.fill(chunk.bytes, key: UnsafeRawBufferPointer(key.bytes), nonce: nonce, counter: nextBlock)
    nextBlock &+= UInt64(Self.chunkByteCount / 64)
    offset = 0
  }

  /// Uniform on 0 ..< bound, `bound` at least 1: the remainder of a word, words of the last incomplete run of `bound`
  /// rejected, so that no value is favoured.
  package func nextInteger(below bound: Int) -> Int {
    let bound = UInt64(bound)
    let excess = (UInt64.max % bound + 1) % bound
    while true {
      let word = nextWord()
      if word <= UInt64.max - excess { return Int(word % bound) }
    }
  }

  /// Uniform on the multiples of 2⁻⁵³ in [0, 1).
  package func nextUniform() -> Double {
    Double(nextWord() >> 11) * 0x1p-53
  }

  /// Independent standard normal numbers by Box–Muller, two from two words.
  package func fillGaussian(_ values: UnsafeMutableBufferPointer<Double>) {
    fillGaussian(values) { (Double($0 >> 11) + 1) * 0x1p-53 }
  }

  /// As `fillGaussian`, with all 64 bits of a word in the radius: no number is beyond 9.42 deviations, a bound that an exact normal number
  /// passes once in 2·10²⁰ draws, instead of 8.57 and once in 10¹⁷. For noise whose tails count.
  package func fillLongTailedGaussian(_ values: UnsafeMutableBufferPointer<Double>) {
    fillGaussian(values) { (Double($0) + 1) * 0x1p-64 }
  }

  /// - Parameter uniform: from a word to (0, 1], so that the logarithm is finite.
  private func fillGaussian(_ values: UnsafeMutableBufferPointer<Double>, radius uniform: (UInt64) -> Double) {
    var index = 0
    while index < values.count {
      let radius = (-2 * log(uniform(nextWord()))).squareRoot()
      let angle = 2 * Double.pi * nextUniform()
      values[index] = radius * cos(angle)
      if index + 1 < values.count { values[index + 1] = radius * sin(angle) }
      index += 2
    }
  }

  /// Every order of the elements equally likely (Fisher–Yates, last position first).
  package func shuffle<Value>(_ values: UnsafeMutableBufferPointer<Value>) {
    for last in stride(from: values.count - 1, to: 0, by: -1) {
      values.swapAt(last, nextInteger(below: last + 1))
    }
  }

  /// 0 ..< count in random order. The array is not zeroed when freed: for secret orders see `shuffle`.
  package func permutation(_ count: Int) -> [Int] {
    var order = Array(0..<count)
    order.withUnsafeMutableBufferPointer { shuffle($0) }
    return order
  }
}
