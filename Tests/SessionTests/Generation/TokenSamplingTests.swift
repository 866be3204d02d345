import Foundation
import Foundations
import Testing
import TestSupport

@testable import OwnerRole

/// Which token comes next, against loops as naive as can be and against known distributions.
@Suite struct TokenSamplingTests {
  private func logits(_ values: [Double]) -> [TokenLogit] {
    values.enumerated().map { TokenLogit(token: Int32($0.offset), value: $0.element) }
  }

  /// Few different numbers, so that many are equal.
  private func drawn(_ count: Int, _ random: inout SplitMix) -> [Double] {
    (0..<count).map { _ in Double(random.next() % 7) / 2 - 1 }
  }

  @Test func whichTokensMayBeDrawn() throws {
    var random = SplitMix(seed: 1)
    for _ in 0..<200 {
      let values = drawn(1 + Int(random.next() % 30), &random)
      let topK = Int(random.next() % 12)
      let topP = Double(1 + random.next() % 99) / 100
      let temperature = 0.1 + Double(random.next() % 20) / 10
      let sampling = try TokenSampling(temperature: temperature, topK: topK, topP: topP)

      // Ranks by counting; then one after the other until there is enough.
      var kept: [Int] = []
      for token in values.indices {
        let before = values.indices.count {
          values[$0] > values[token] || (values[$0] == values[token] && $0 < token)
        }
        if topK == 0 || before < topK { kept.append(token) }
      }
      kept.sort { values[$0] == values[$1] ? $0 < $1 : values[$0] > values[$1] }
      let total = kept.reduce(0) { $0 + exp(values[$1] / temperature) }
      var nucleus: [Int] = []
      for token in kept {
        let so = nucleus.reduce(0) { $0 + exp(values[$1] / temperature) } / total
        // Within rounding of the border either is right.
        if abs(so - topP) < 1e-12 { continue }
        if so < topP { nucleus.append(token) }
      }
      let found = sampling.weights(logits(values).shuffled())
      #expect(found.map { Int($0.token) } == nucleus, "\(values) \(sampling)")
      let share = found.reduce(0) { $0 + $1.weight }
      for (token, weight) in found {
        let expected = exp(values[Int(token)] / temperature) / nucleus.reduce(0) { $0 + exp(values[$1] / temperature) }
        #expect(abs(weight / share - expected) < 1e-12)
      }
    }
  }

  @Test func theLikeliestAndTheLowerOfEqualOnes() throws {
    let greedy = try TokenSampling(temperature: 0, topK: 7, topP: 0.3)
    #expect(greedy.choose(logits([1, 3, 2, 3]), uniform: 0.99) == 1)
    #expect(greedy.logitsNeeded == 2 && greedy.isGreedy)
    // The largest two of four are equal: which others are, too, cannot be told.
    #expect(greedy.isUndecided(Array(logits([3, 3])), of: 4))
    #expect(!greedy.isUndecided(Array(logits([3, 2])), of: 4))
    #expect(!greedy.isUndecided(Array(logits([3, 3])), of: 2))
    let few = try TokenSampling(temperature: 1, topK: 2)
    #expect(few.logitsNeeded == 3)
    #expect(few.isUndecided(logits([3, 2, 2]), of: 9) && !few.isUndecided(logits([3, 3, 2]), of: 9))
    #expect(try TokenSampling(temperature: 1, topP: 0.5).logitsNeeded == 0)
    #expect(try TokenSampling(temperature: 1).logitsNeeded == 51)
    #expect(try TokenSampling(temperature: 1, topK: 0).logitsNeeded == 0)
    #expect(try TokenSampling(temperature: 1, topK: 5, topP: 0.5).logitsNeeded == 6)
  }

  /// A temperature close to nothing divides by it without harm.
  @Test func extremeNumbers() throws {
    let cold = try TokenSampling(temperature: .leastNonzeroMagnitude, topK: 0)
    #expect(cold.choose(logits([-1e300, 1e300, 0]), uniform: 0.999_999) == 1)
    let hot = try TokenSampling(temperature: 100, topK: 0)
    #expect(hot.choose(logits([0, 0]), uniform: 0.4999) == 0 && hot.choose(logits([0, 0]), uniform: 0.5) == 1)
    #expect(hot.choose(logits([0]), uniform: 1 - 0x1p-53) == 0)
  }

  @Test(
    arguments: [
      (-1.0, nil, nil), (.nan, nil, nil), (.infinity, nil, nil), (101, nil, nil), (1, -1, nil), (1, nil, 0),
      (1, nil, 1.1),
      (1, nil, -.infinity), (1, nil, .nan), (1, 1 << 40, nil),
    ] as [(Double, Int?, Double?)]) func nonsense(_ temperature: Double, _ topK: Int?, _ topP: Double?)
  {
    let error = #expect(throws: OwnerError.self) {
      _ = try TokenSampling(temperature: temperature, topK: topK, topP: topP)
    }
    #expect(error?.kind == .usage)
  }

  /// χ² of 20,000 draws over 10 tokens: 9 degrees of freedom. By Wilson and Hilferty's cube it is beyond 46 once in a million; the draws are the same
  /// each time, so that this is decided once and for all.
  private func chiSquared(_ sampling: TokenSampling, expected temperature: Double, perText: Bool) throws -> Double {
    let values = (0..<10).map { Double($0) / 4 }
    let count = 20_000
    var seen = [Int](repeating: 0, count: values.count)
    let one = TokenDraws(seed: 7, row: 0, skipped: 0)
    for draw in 0..<count {
      let uniform = perText ? TokenDraws(seed: 7, row: draw, skipped: 0).next() : one.next()
      let token = try #require(sampling.choose(logits(values), uniform: uniform))
      seen[Int(token)] += 1
    }
    let total = values.reduce(0) { $0 + exp($1 / temperature) }
    return zip(seen, values).reduce(0) { sum, entry in
      let due = Double(count) * exp(entry.1 / temperature) / total
      return sum + (Double(entry.0) - due) * (Double(entry.0) - due) / due
    }
  }

  @Test(arguments: [false, true]) func tokensComeAsOftenAsTheyAreLikely(perText: Bool) throws {
    let sampling = try TokenSampling(temperature: 0.7, topK: 0)
    #expect(try chiSquared(sampling, expected: 0.7, perText: perText) < 46)
    // It would show.
    #expect(try chiSquared(sampling, expected: 0.75, perText: perText) > 46)
  }

  /// Token t has number t of its text's stream, however many were drawn before by whom.
  @Test func drawsGoOnWhereTheyWere() {
    let whole = TokenDraws(seed: 3, row: 5, skipped: 0)
    let numbers = (0..<40).map { _ in whole.next() }
    for skipped in [0, 1, 17, 39] {
      #expect(TokenDraws(seed: 3, row: 5, skipped: skipped).next() == numbers[skipped])
    }
    #expect(TokenDraws(seed: 3, row: 6, skipped: 0).next() != numbers[0])
    #expect(TokenDraws(seed: 4, row: 5, skipped: 0).next() != numbers[0])
    #expect(Set(numbers).count == 40)
  }
}
