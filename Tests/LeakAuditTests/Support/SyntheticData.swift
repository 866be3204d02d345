import Foundation
import LeakAudit
import Numerics
import TestSupport

/// Plaintext rows of known distributions.
enum SyntheticRows {
  /// Uniform in ±√3 and Laplace in turn: independent, variance 1, none Gaussian.
  static func independent(_ rows: Int, _ columns: Int, random: inout SplitMix) -> Tensor<Float> {
    var result = Tensor<Float>(uninitialized: [rows, columns])
    for index in 0..<rows * columns {
      // Laplace: the difference of two exponential numbers with mean √½.
      let (a, b) = (Double.random(in: 1e-12..<1, using: &random), Double.random(in: 1e-12..<1, using: &random))
      result[index] = index % columns % 2 == 0 ? random.nextValue() : Float(log(a / b) * 0.5.squareRoot())
    }
    return result
  }

  /// Independent standard normal numbers.
  static func gaussian(_ rows: Int, _ columns: Int, random: inout SplitMix) -> Tensor<Float> {
    Tensor(GaussianNumbers.fill(rows * columns, random: &random), shape: [rows, columns]).converted()
  }

  /// Independent exponential numbers, column j of deviation 1.4 to the power −j: skewed, with a distinct spectrum.
  static func skewed(_ rows: Int, _ columns: Int, random: inout SplitMix) -> Tensor<Float> {
    var result = Tensor<Float>(uninitialized: [rows, columns])
    for index in 0..<rows * columns {
      let value = -log(Double.random(in: 1e-12..<1, using: &random))
      result[index] = Float(value * pow(1.4, -Double(index % columns)))
    }
    return result
  }

  /// Bits, each column set with a probability of its own from 0.1 to 0.5.
  static func bits(_ rows: Int, _ columns: Int, random: inout SplitMix) -> Tensor<Float> {
    var result = Tensor<Float>(zeros: [rows, columns])
    for index in 0..<rows * columns {
      let probability = 0.1 + 0.4 * Double(index % columns) / Double(max(1, columns - 1))
      if Double.random(in: 0..<1, using: &random) < probability { result[index] = 1 }
    }
    return result
  }

  /// Bits of which each is set where a mixture of a row's hidden Gaussian numbers is above a threshold of the column's own.
  static func correlatedBits(_ rows: Int, _ columns: Int, hidden: Int, random: inout SplitMix) -> Tensor<Float> {
    let factors = gaussian(rows, hidden, random: &random)
    let loadings = gaussian(hidden, columns, random: &random)
    var result = factors.times(loadings, compute: SyntheticView.compute)
    let own = GaussianNumbers.fill(rows * columns, random: &random)
    let scale = Float(hidden).squareRoot()
    result.withUnsafeMutableBufferPointer { elements in
      for index in elements.indices {
        let threshold = 0.5 + 2 * Float(index % columns) / Float(columns)
        elements[index] = elements[index] / scale + 0.3 * Float(own[index]) > threshold ? 1 : 0
      }
    }
    return result
  }
}

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
