import LeakAudit
import Numerics
import Testing
import TestSupport

@Suite struct ModelMembershipTests {
  /// Confidences are normal with variance 1 around a level of each candidate's own, `lift` higher for what a model knows.
  private struct Shadows: ShadowTraining {
    let candidates = 400
    let lift: Double
    let levels: Double
    /// Deviations of labels beside the first, that know nothing of who is a member.
    var others: [Double] = []

    func scores(trainedOn isMember: [Bool], model: Int) throws -> Tensor<Double> {
      var random = SplitMix(seed: UInt64(model))
      var own = SplitMix(seed: 1 << 40)
      let scores = isMember.flatMap { isMember in
        [levels * RecordScene.normal(&own) + RecordScene.normal(&random) + (isMember ? lift : 0)]
          + others.map { $0.isNaN ? .nan : $0 * RecordScene.normal(&random) }
      }
      return Tensor(scores, shape: [candidates, 1 + others.count])
    }
  }

  private func measure(
    lift: Double, levels: Double, others: [Double] = [], models: Int = 16, within limit: Duration = .seconds(60)
  ) throws -> Measurement {
    var random = SplitMix(seed: 1)
    var scene = RecordScene(rows: RecordScene.normals(2, 2, &random), sample: RecordScene.normals(2, 2, &random))
    scene.shadows = Shadows(lift: lift, levels: levels, others: others)
    return try RecordScene.measure(
      ModelMembership(models: models), on: scene.evidence(&random), &random, within: limit)
  }

  /// Members and others score alike. 3,200 of each: the share above the others' first per cent spreads by √(2 · 0.01/3200) = 0.0025, the area
  /// by 1/√(6 · 3200) = 0.0072; five times that is allowed.
  @Test func chanceWhereModelsKnowNothing() throws {
    let found = try measure(lift: 0, levels: 10)
    #expect(abs(try #require(found.detail("true-positive rate at 1 % false positives")) - 0.01) < 0.0125)
    #expect(abs(try #require(found.detail("area under the curve")) - 0.5) < 0.036)
    #expect(try #require(found.value) < 0.01)
    #expect(found.rows == 400)
    #expect(found.detail("models trained") == 16)
  }

  /// A lift of five deviations, hidden among levels that spread by fifty: seven models on each side leave a deviation of √(1 + 1/7) around the
  /// candidate's own means, so that Φ(5/1.07 − 3.09) = 0.94 of the members score above all but a thousandth of the others.
  @Test func membersStandOutFromTheirOwnLevel() throws {
    let found = try measure(lift: 5, levels: 50)
    #expect(try #require(found.value) > 0.8)
    #expect(try #require(found.detail("area under the curve")) > 0.99)
  }

  /// Beside labels of twenty times the deviation, which drown it in a mean (5/4 of a lift against √3 · 20/4 of noise), and one that is
  /// missing, the one that tells is judged by itself.
  @Test func oneLabelOfSeveralTells() throws {
    let found = try measure(lift: 5, levels: 50, others: [20, 20, .nan, 20])
    #expect(try #require(found.value) > 0.7)
    #expect(try #require(found.detail("area under the curve")) > 0.99)
  }

  /// From 64 models on, each candidate has variances of its own.
  @Test func manyModels() throws {
    let found = try measure(lift: 5, levels: 50, models: 64)
    #expect(try #require(found.value) > 0.8)
  }

  @Test func fewerThanEightModelsJudgeNothing() throws {
    let found = try measure(lift: 5, levels: 0, within: .zero)
    #expect(found.value == nil)
    #expect(found.detail("models trained") == 0)
  }

  @Test func withoutShadowModels() {
    var random = SplitMix(seed: 2)
    let evidence = RecordScene(rows: RecordScene.normals(2, 2, &random), sample: RecordScene.normals(2, 2, &random))
      .evidence(&random)
    #expect(throws: Inapplicable("no models can be trained to compare with")) {
      try ModelMembership().knowledge(of: evidence, truth: evidence.truth, random: &random)
    }
  }
}
