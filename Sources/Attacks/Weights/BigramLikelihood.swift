import Foundation

/// ln P(next | token) in public texts, counted and smoothed by the tokens' own frequencies.
struct BigramLikelihood: Sendable {
  /// `[size + 1, size]`: the last row is the start of a text.
  private let table: [Float]
  private let size: Int

  /// - Parameter size: at least as many as candidates; those beyond stand for tokens that texts do not have.
  init(_ candidates: [Int32], texts: [[Int32]], size: Int) {
    let number = Dictionary(uniqueKeysWithValues: candidates.enumerated().map { ($1, $0) })
    var counts = [Double](repeating: 0, count: (size + 1) * size)
    var singles = [Double](repeating: 0.5, count: size)
    var froms = [Double](repeating: 0, count: size + 1)
    for text in texts {
      var before: Int? = size
      for token in text {
        let slot = number[token]
        if let slot {
          singles[slot] += 1
          if let before {
            counts[before * size + slot] += 1
            froms[before] += 1
          }
        }
        before = slot
      }
    }
    let whole = singles.reduce(0, +)
    var table = [Float](repeating: 0, count: counts.count)
    let weight = 5.0
    for from in 0...size {
      for to in 0..<size {
        let rate = (counts[from * size + to] + weight * singles[to] / whole) / (froms[from] + weight)
        table[from * size + to] = Float(log(rate))
      }
    }
    self.table = table
    self.size = size
  }

  /// `from` may be `size`, the start.
  subscript(from: Int, to: Int) -> Float { table[from * size + to] }
}
