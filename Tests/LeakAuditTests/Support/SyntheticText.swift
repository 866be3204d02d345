import Foundation
import TestSupport

/// Texts with known statistics: every one starts with token 1 and ends with token 2; words are 3 … 2 + words.
struct SyntheticText {
  let words: Int
  /// 0 for words that are all as frequent, 1 for Zipf's law.
  let exponent: Double
  /// Of a word that is followed by one of its own two favourites.
  let order: Double
  var lengths = 6...14

  func samples(_ count: Int, random: inout SplitMix) -> [[Int32]] {
    var sums = [0.0]
    for rank in 1...words { sums.append(sums[rank - 1] + pow(Double(rank), -exponent)) }
    func word() -> Int {
      let place = Double.random(in: 0..<sums[words], using: &random)
      return min(words, (sums.firstIndex { $0 > place } ?? words)) - 1
    }
    return (0..<count).map { _ in
      var sample: [Int32] = [1]
      var before: Int?
      for _ in 0..<Int.random(in: lengths, using: &random) - 2 {
        var next = word()
        if let before, Double.random(in: 0..<1, using: &random) < order {
          next = (before * 7 + (Bool.random(using: &random) ? 3 : 11)) % words
        }
        sample.append(Int32(3 + next))
        before = next
      }
      return sample + [2]
    }
  }
}
