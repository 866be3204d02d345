import Cryptography
import Foundation
import Testing

@Suite struct KeyStreamTests {
  private let secret = Array(UInt8(0)..<32)

  /// Values computed with Python's `cryptography` (HKDF, ChaCha20): these pin the format of every key.
  @Test func wordsAndOrdersOfAFixedSecretNeverChange() {
    let job = "00112233445566778899aabbccddeeff"
    let stream = KeyStream(secret: secret, label: "\(job)/input/orthogonal")
    let words: [UInt64] = [0x1a75_a801_567e_10b7, 0xbb99_0d0d_db54_ae4f, 0xb24c_b942_2686_b261]
    #expect(words.allSatisfy { stream.nextWord() == $0 })
    let first = KeyStream(secret: secret, label: "\(job)/input/orthogonal").substreams()(0)
    #expect((0..<2).map { _ in first.nextWord() } == [0x0502_5bfa_e6a2_964f, 0x9028_15b7_a614_e2db])
    let hidden = KeyStream(secret: secret, label: "\(job)/hidden.0/permutation")
    #expect(hidden.permutation(12) == [11, 5, 4, 9, 2, 0, 1, 7, 3, 10, 6, 8])
    let seeded = KeyStream(secret: Array("seed".utf8), label: "shuffle")
    #expect(seeded.permutation(10) == [2, 9, 3, 4, 8, 1, 5, 7, 6, 0])
  }

  @Test func otherLabelsSecretsAndSubstreamsGiveOtherNumbers() {
    let streams = [
      KeyStream(secret: secret, label: "a"), KeyStream(secret: secret, label: "b"),
      KeyStream(secret: Array(secret.dropLast()), label: "a"), KeyStream(secret: secret, label: "a").substreams()(0),
      KeyStream(secret: secret, label: "a").substreams()(1),
    ]
    #expect(Set(streams.map { $0.nextWord() }).count == streams.count)
  }

  /// Pearson's statistic with c − 1 degrees of freedom has mean c − 1 and variance 2(c − 1); five standard deviations. The
  /// seed is fixed, so the outcome is too.
  private func expectUniform(_ counts: [Int], sourceLocation: SourceLocation = #_sourceLocation) {
    let expected = Double(counts.reduce(0, +)) / Double(counts.count)
    let statistic = counts.reduce(0.0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected }
    let freedom = Double(counts.count - 1)
    #expect(statistic < freedom + 5 * (2 * freedom).squareRoot(), sourceLocation: sourceLocation)
    // And not too even: a sequence that counts instead of drawing would give 0.
    #expect(statistic > freedom - 5 * (2 * freedom).squareRoot(), sourceLocation: sourceLocation)
  }

  @Test func allOrdersAreEquallyLikely() {
    let stream = KeyStream(secret: secret, label: "orders")
    var counts: [[Int]: Int] = [:]
    for _ in 0..<24 * 200 { counts[stream.permutation(4), default: 0] += 1 }
    #expect(counts.count == 24)
    // 23 degrees of freedom put the lower limit below 0, so it is only the upper one that is at work here.
    expectUniform(Array(counts.values))
  }

  @Test func everyElementGoesEverywhereEquallyOften() {
    let stream = KeyStream(secret: secret, label: "places")
    let width = 20
    var counts = [Int](repeating: 0, count: width * width)
    for _ in 0..<2000 {
      for (place, element) in stream.permutation(width).enumerated() { counts[place * width + element] += 1 }
    }
    expectUniform(counts)
  }

  @Test func integersFillTheirRangeEvenly() {
    let stream = KeyStream(secret: secret, label: "integers")
    var counts = [Int](repeating: 0, count: 100)
    for _ in 0..<10_000 { counts[stream.nextInteger(below: 100)] += 1 }
    expectUniform(counts)
    #expect((0..<10).allSatisfy { _ in stream.nextInteger(below: 1) == 0 })
  }

  /// With a bound of 3·2⁶¹, a quarter of all words is rejected; without rejection the lower third would get half of the
  /// draws. Binomial, five standard deviations.
  @Test func wordsThatWouldFavourSmallValuesAreRejected() {
    let stream = KeyStream(secret: secret, label: "rejection")
    let bound = 3 << 61
    let count = 6000
    let low = (0..<count).reduce(0) { total, _ in total + (stream.nextInteger(below: bound) < 1 << 61 ? 1 : 0) }
    let deviation = (Double(count) * (1.0 / 3) * (2.0 / 3)).squareRoot()
    #expect(abs(Double(low) - Double(count) / 3) < 5 * deviation)
  }

  /// Moments 1 … 4 of a standard normal are 0, 1, 0, 3, and the variances of their means over n draws 1/n, 2/n, 15/n and 96/n;
  /// five standard deviations. The lag-one product has mean 0 and variance 1/n.
  @Test func gaussiansHaveTheMomentsOfTheNormalDistribution() {
    let count = 20_001
    var values = [Double](repeating: 0, count: count)
    values.withUnsafeMutableBufferPointer { KeyStream(secret: secret, label: "normal").fillGaussian($0) }
    func mean(_ transform: (Double) -> Double) -> Double { values.reduce(0) { $0 + transform($1) } / Double(count) }
    let limit = 5 / Double(count).squareRoot()
    #expect(abs(mean { $0 }) < limit)
    #expect(abs(mean { $0 * $0 } - 1) < limit * 2.0.squareRoot())
    #expect(abs(mean { $0 * $0 * $0 }) < limit * 15.0.squareRoot())
    #expect(abs(mean { $0 * $0 * $0 * $0 } - 3) < limit * 96.0.squareRoot())
    let products = zip(values, values.dropFirst()).map { $0 * $1 }
    #expect(abs(products.reduce(0, +) / Double(count)) < limit)
  }

  @Test func uniformNumbersAreBelowOne() {
    let stream = KeyStream(secret: secret, label: "uniform")
    var counts = [Int](repeating: 0, count: 50)
    for _ in 0..<5000 {
      let value = stream.nextUniform()
      #expect(value >= 0 && value < 1)
      counts[Int(value * 50)] += 1
    }
    expectUniform(counts)
  }
}
