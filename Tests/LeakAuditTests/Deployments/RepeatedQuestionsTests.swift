import Numerics
import TestSupport
import Testing

@testable import LeakAudit

/// Questions that come again.
@Suite struct RepeatedQuestionsTests {
  /// 200 rows, then 50 of them again and 50 others, each with noise of its own.
  private func repeated(noise: Float) throws -> LeakAudit.Measurement {
    var random = SplitMix(seed: 1)
    let key: Tensor<Float> = try SyntheticView.rotation(20, random: &random).converted()
    let plain = SyntheticRows.gaussian(250, 20, random: &random)
    func noised(_ rows: Tensor<Float>, _ random: inout SplitMix) -> Tensor<Float> {
      var result = rows.times(key, otherTransposed: true, compute: CopyScene.compute)
      for index in 0..<result.count where noise > 0 { result[index] += noise * Float(RecordScene.normal(&random)) }
      return result
    }
    let first = noised(plain.slice(rows: 0..<200), &random)
    let later = noised(plain.selecting(rows: Array(0..<50) + Array(200..<250)), &random)
    return try RecordScene.measure(
      RepeatedQuestions(compute: CopyScene.compute),
      on: QuestionScene.evidence(
        first,
        deployment: DeploymentView(
          otherWeights: nil, leagueKey: nil, later: LaterQuestions(inputs: later, lengths: nil)),
        truth: DeploymentTruth(repeats: Array(0..<50) + [Int](repeating: -1, count: 50))), &random)
  }

  @Test func equalQuestionsAreLinkedAll() throws {
    let measurement = try repeated(noise: 0)
    #expect(measurement.value == 1)
    #expect(measurement.chance == 1.0 / 200)
    #expect(measurement.detail("share that are equal to rounding") == 1)
    #expect(measurement.detail("share nearer to their first than any new question is to another") == 1)
  }

  /// Two rows of variance 1 in 20 columns are 40 apart in squares, and the same row under two noises of a tenth 0.4: none is mistaken.
  @Test func littleNoiseDoesNotKeepThemApart() throws {
    let measurement = try repeated(noise: 0.1)
    #expect(measurement.value == 1)
    #expect(measurement.detail("share that are equal to rounding") == 0)
  }

  /// Noise of five deviations: 1,000 for the same row and 1,040 for others, with a deviation of 300 each: the nearest of 200 is hardly ever the right one.
  @Test func muchNoiseDoes() throws {
    let measurement = try repeated(noise: 5)
    #expect(try #require(measurement.value) < 0.15)
  }

  /// Samples of three tokens, sent again in another order.
  @Test func samplesAreLinkedWhateverTheOrderOfTheirTokens() throws {
    var random = SplitMix(seed: 2)
    let rows = SyntheticRows.gaussian(90, 8, random: &random)
    let places: [Int] = (0..<10).flatMap { sample -> [Int] in [2, 0, 1].map { 3 * sample + $0 } }
    let later = rows.selecting(rows: places)
    let lengths = [Int32](repeating: 3, count: 30)
    let measurement = try RecordScene.measure(
      RepeatedQuestions(compute: CopyScene.compute),
      on: QuestionScene.evidence(
        rows, lengths: lengths,
        deployment: DeploymentView(
          otherWeights: nil, leagueKey: nil,
          later: LaterQuestions(inputs: later, lengths: [Int32](repeating: 3, count: 10))),
        truth: DeploymentTruth(repeats: Array(0..<10), lengths: lengths)), &random)
    #expect(measurement.value == 1)
    #expect(measurement.chance == 1.0 / 30)
  }
}
