import Models
import Numerics
import TestSupport
import Testing

@testable import LeakAudit

/// A host in league with one client, against the questions of another.
@Suite struct CopiesTests {
  private static let attack = Copies(compute: CopyScene.compute)

  private func rows(seed: UInt64) -> Tensor<Float> {
    var random = SplitMix(seed: seed)
    return SyntheticRows.gaussian(80, 12, random: &random)
  }

  @Test(arguments: [Activation.relu, .tanh]) func oneKeyOpensTheQuestionsUnderAnother(activation: Activation) throws {
    let scene = try CopyScene.perceptron(padding: 2, hidden: [40], activation: activation, seed: 1)
    let evidence = try scene.evidence(rows: rows(seed: 2))
    var random = SplitMix(seed: 3)
    let (masked, control) = try RecordScene.measureBoth(Self.attack, on: evidence, &random)
    // The bound of the relation in single precision, and rows that are rounded likewise.
    #expect(try #require(masked.value) < 1e-4)
    #expect(try #require(masked.detail("relative error of the key")) < 1e-4)
    #expect(try #require(control.value) < 1e-4)
    #expect(
      Self.attack.meaning(of: masked, evidence: evidence).contains("in league with one client opens every question"))
  }

  @Test func anotherModelsCopyOpensNothingAndThatIsSaid() throws {
    let scene = try CopyScene.perceptron(hidden: [40], activation: .relu, seed: 1)
    let evidence = try scene.evidence(
      rows: rows(seed: 2), other: .perceptron(hidden: [40], activation: .relu, seed: 11))
    var random = SplitMix(seed: 3)
    let measurement = try RecordScene.measure(Self.attack, on: evidence, &random)
    #expect(try #require(measurement.value) > 0.8)
    #expect(Self.attack.meaning(of: measurement, evidence: evidence).contains("were not matched"))
    #expect(Self.attack.meaning(of: measurement, evidence: evidence).contains("proves nothing"))
  }

  /// Five units read five of thirteen directions: what is open is about (13 − 5)/13 of the squares.
  @Test func fewUnitsOpenWhatTheyRead() throws {
    let scene = try CopyScene.perceptron(hidden: [5], activation: .relu, seed: 4)
    let evidence = try scene.evidence(rows: rows(seed: 5))
    var random = SplitMix(seed: 6)
    let measurement = try RecordScene.measure(Self.attack, on: evidence, &random)
    let value = try #require(measurement.value)
    #expect(value > 0.5 && value < 1)
    #expect(measurement.detail("directions that the weights determine") == 5)
    #expect(Self.attack.meaning(of: measurement, evidence: evidence).contains("that the first weights read"))
  }

  /// Without a constant among the columns nothing in them says which of ±R is right; whoever looks at the questions does.
  @Test(arguments: [Float(-3), 3]) func aSignThatTheWeightsLeaveOpenIsSeenInTheQuestions(mean: Float) throws {
    let (width, units) = (8, 40)
    var random = SplitMix(seed: 10)
    var rows = SyntheticRows.gaussian(80, width, random: &random)
    for row in 0..<rows.rows { rows[row, width - 1] += mean }
    let (first, second) = (
      try SyntheticView.rotation(width, random: &random), try SyntheticView.rotation(width, random: &random)
    )
    let layer = SyntheticRows.gaussian(units, width, random: &random).converted(to: Double.self)
    func copy(_ key: Tensor<Double>) -> [Tensor<Float>] {
      var order = Array(0..<units)
      order.shuffle(using: &random)
      var moved = layer.selecting(rows: order)
      for row in 0..<units where Bool.random(using: &random) {
        for column in 0..<width { moved[row, column] = -moved[row, column] }
      }
      return [moved.times(key, otherTransposed: true, compute: CopyScene.compute).converted()]
    }
    let (input, output) = (SpaceID("rows"), SpaceID("units"))
    let parameters = [ParameterSpecification(name: "layer", shape: [units, width], rows: output, columns: input)]
    let weights = copy(first)
    let view = ProviderView(
      inputs: rows.converted(to: Double.self).times(first, otherTransposed: true, compute: CopyScene.compute)
        .converted(), lengths: nil, groups: [input: .orthogonal, output: .signedPermutation], input: input,
      parameters: parameters, initialWeights: weights, finalWeights: weights, outputs: Tensor(zeros: [0, 1]),
      targets: .gradients(Tensor(zeros: [0, 1])),
      deployment: DeploymentView(otherWeights: copy(second), leagueKey: second))
    let truth = OwnerTruth(
      rows: rows, tokens: nil, positions: nil, labels: .classes([]), inputKey: first, deployment: DeploymentTruth())
    let evidence = Evidence(
      masked: view, control: view, truth: truth, controlTruth: truth,
      knowledge: PublicKnowledge(
        sampleRows: Tensor(zeros: [0, width]), sampleTexts: nil, baseWeights: nil, vocabulary: nil),
      traits: .sample(), shadows: nil)
    #expect(try #require(RecordScene.measure(Self.attack, on: evidence, &random).value) < 1e-3)
  }

  @Test func oneCopyIsNothingToMatch() throws {
    var random = SplitMix(seed: 7)
    let key = try SyntheticView.rotation(12, random: &random)
    let view = SyntheticView(rows: rows(seed: 8), key: key, group: .orthogonal)
    let evidence = view.evidence(sample: rows(seed: 9))
    #expect(throws: Inapplicable(nothingToFind: "there is one copy of the model, under one key")) {
      try Self.attack.knowledge(of: evidence, truth: evidence.truth, random: &random)
    }
  }
}
