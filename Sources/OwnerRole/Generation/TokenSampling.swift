import Cryptography
import Foundation

/// How the next token of a text is chosen from the model's outputs, its logits.
///
/// A temperature of 0 takes the largest. Otherwise, in this order: logits are divided by the temperature; the `topK` largest stay; of these the fewest
/// that have `topP` of the probability together stay; one is drawn in proportion to exp(logit). Of equal logits the lower token id counts as the larger.
package struct TokenSampling: Codable, Sendable, Equatable {
  package let temperature: Double
  /// Nil for all.
  package let topK: Int?
  /// Nil for all.
  package let topP: Double?

  /// Of `topK` where nothing is said.
  package static let usualTopK = 50

  /// - Parameters:
  ///   - temperature: 0 … 100.
  ///   - topK: 0 for all; nil for 50, or for all where `topP` is given.
  ///   - topP: above 0 and at most 1; nil for 1.
  /// - Throws: `OwnerError.run` for what is out of its range.
  package init(temperature: Double, topK: Int? = nil, topP: Double? = nil) throws(OwnerError) {
    guard (0.0...100).contains(temperature) else {
      throw .run("--temperature must be 0 … 100; 0 takes the most likely token each time")
    }
    if let topK, !(0...Int(Int32.max)).contains(topK) {
      throw .run("--top-k must be 0 … \(Int32.max); 0 draws among all tokens")
    }
    if let topP, !(topP > 0 && topP <= 1) { throw .run("--top-p must be above 0 and at most 1") }
    self.temperature = temperature
    self.topK = [topK ?? (topP == nil ? Self.usualTopK : 0)].first { $0 > 0 }
    self.topP = topP == 1 ? nil : topP
  }

  var isGreedy: Bool { temperature == 0 }

  /// Tokens that may be chosen, of so many; nil for all.
  private var candidates: Int? { isGreedy ? 1 : topK }

  /// How many of the largest logits decide, 0 for all. One more than may be chosen: from it follows whether the smallest of them has an equal that was
  /// left out for want of a place.
  var logitsNeeded: Int { candidates.map { $0 + 1 } ?? 0 }

  /// Whether the largest logits are too few, because it is chance which of equal ones are among them.
  ///
  /// - Parameter logits: largest first.
  func isUndecided(_ logits: [TokenLogit], of all: Int) -> Bool {
    guard let candidates, logits.count < all, logits.count > candidates else { return false }
    return logits[candidates - 1].value == logits[candidates].value
  }

  /// The tokens that may be drawn with their weights, the largest first.
  ///
  /// - Parameter logits: in any order, finite, at least one.
  func weights(_ logits: [TokenLogit]) -> [(token: Int32, weight: Double)] {
    let sorted = logits.sorted().prefix(candidates ?? logits.count)
    guard let largest = sorted.first?.value else { return [] }
    if isGreedy { return sorted.map { ($0.token, 1) } }
    let weighted = sorted.map { (token: $0.token, weight: exp(($0.value - largest) / temperature)) }
    guard let topP else { return weighted }
    let enough = topP * weighted.reduce(0) { $0 + $1.weight }
    var sum = 0.0
    return Array(
      weighted.prefix { entry in
        defer { sum += entry.weight }
        return sum < enough
      })
  }

  /// - Parameter uniform: in [0, 1).
  func choose(_ logits: [TokenLogit], uniform: Double) -> Int32? {
    let weighted = weights(logits)
    var left = uniform * weighted.reduce(0) { $0 + $1.weight }
    for (token, weight) in weighted {
      left -= weight
      if left < 0 { return token }
    }
    // Rounding has left a rest.
    return weighted.last { $0.weight > 0 }?.token
  }
}

/// An output of the model: how likely a token is to come next, as the logarithm of a multiple of its probability. The larger, with the lower id where
/// they are equal, comes first.
struct TokenLogit: Comparable {
  let token: Int32
  let value: Double

  static func < (left: TokenLogit, right: TokenLogit) -> Bool {
    left.value > right.value || (left.value == right.value && left.token < right.token)
  }
}

/// The numbers that the tokens of a text are drawn with: number t of the stream that belongs to the seed and to the text's row, for token t, whatever
/// other texts there are. HKDF-SHA256 of the seed (8 bytes, little-endian) with the label "generated tokens", ChaCha20 under nonce row + 1, the
/// high 53 bits of each 8 bytes.
struct TokenDraws {
  private let stream: KeyStream

  /// - Parameter skipped: tokens of the text that are drawn already.
  init(seed: Int, row: Int, skipped: Int) {
    let bytes = withUnsafeBytes(of: UInt64(bitPattern: Int64(seed)).littleEndian) { Array($0) }
    stream = KeyStream(secret: bytes, label: "generated tokens").substreams()(row)
    for _ in 0..<skipped { _ = stream.nextWord() }
  }

  func next() -> Double { stream.nextUniform() }
}
