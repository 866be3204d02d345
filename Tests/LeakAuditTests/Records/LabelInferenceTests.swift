import Models
import LeakAudit
import Foundation
import Numerics
import Testing
import TestSupport

@Suite struct LabelInferenceTests {
  private let attack = LabelInference(compute: RecordScene.compute, restarts: 4, draws: 40)
  private let count = 600

  private func scene(_ random: inout SplitMix) -> RecordScene {
    RecordScene(rows: RecordScene.normals(2, 2, &random), sample: RecordScene.normals(2, 2, &random))
  }

  /// Logits that lean towards the class somewhat, and what softmax cross-entropy of a batch of 64 sends back, under a key of the group.
  private func classes(_ number: Int, _ group: SymmetryGroup, _ random: inout SplitMix) -> RecordScene {
    var (outputs, gradients) = (Tensor<Double>(zeros: [count, number]), Tensor<Double>(zeros: [count, number]))
    var ids: [Int32] = []
    for row in 0..<count {
      // Squares of uniform numbers: classes of different sizes.
      let share = Double.random(in: 0..<1, using: &random)
      let id = min(number - 1, Int(share * share * Double(number)))
      ids.append(Int32(id))
      for column in 0..<number {
        outputs[row, column] = 0.7 * RecordScene.normal(&random) + (column == id ? 1 : 0)
      }
      let sum = (0..<number).reduce(0) { $0 + exp(outputs[row, $1]) }
      for column in 0..<number {
        gradients[row, column] = (exp(outputs[row, column]) / sum - (column == id ? 1 : 0)) / 64
      }
    }
    return masked(outputs, gradients, .classes(ids), group, &random)
  }

  /// Three in four labels are known, one in eight of them is yes, and the model has begun to expect that.
  private func binaries(_ number: Int, _ group: SymmetryGroup, _ random: inout SplitMix) -> RecordScene {
    var (outputs, gradients) = (Tensor<Double>(zeros: [count, number]), Tensor<Double>(zeros: [count, number]))
    var values = Tensor<Float>(repeating: .nan, shape: [count, number])
    for index in 0..<values.count {
      outputs[index] = 0.8 * RecordScene.normal(&random) - 1
      guard Double.random(in: 0..<1, using: &random) < 0.75 else { continue }
      values[index] = Double.random(in: 0..<1, using: &random) < 0.125 ? 1 : 0
      gradients[index] = (1 / (1 + exp(-outputs[index])) - Double(values[index])) / 500
    }
    return masked(outputs, gradients, .values(values, isBinary: true), group, &random)
  }

  private func masked(
    _ outputs: Tensor<Double>, _ gradients: Tensor<Double>, _ labels: TrueLabels, _ group: SymmetryGroup,
    _ random: inout SplitMix
  ) -> RecordScene {
    let key = RecordScene.key(outputs.columns, group, &random)
    var scene = scene(&random)
    scene.outputs = outputs.times(key, otherTransposed: true, compute: RecordScene.compute).converted()
    scene.targets = .gradients(
      gradients.times(key, otherTransposed: true, compute: RecordScene.compute).converted())
    scene.outputGroup = group
    scene.labels = labels
    return scene
  }

  /// The form of the loss leaves nothing open: the fit is exact, and so are the clusters.
  @Test(arguments: [SymmetryGroup.trivial, .permutation, .signedPermutation, .orthogonal], [2, 5])
  func everyClassUnder(group: SymmetryGroup, number: Int) throws {
    var random = SplitMix(seed: 1)
    let found = try RecordScene.measure(attack, on: classes(number, group, &random).evidence(&random), &random)
    #expect(abs(try #require(found.value) - 1) < 1e-9)
    #expect(found.detail("accuracy under the best matching") == 1)
    #expect(found.detail("classes") == Double(number))
    #expect(found.chance == 0)
    #expect(try #require(found.interval).upper <= 1)
  }

  /// 40 rows without an error do not pass for certainty: 0 of 40 wrong is up to z²/(40 + z²) = 8.8 %, four rows. Four wrong rows of 40 in two
  /// classes cost more than a tenth of the information (a tenth of a bit's worth each: H(0.1) = 0.47 bit).
  @Test func fewRowsWithoutAnErrorAreNotCertain() throws {
    var random = SplitMix(seed: 9)
    var scene = scene(&random)
    let ids = (0..<40).map { Int32($0 % 2) }
    scene.outputs = Tensor(zeros: [40, 2])
    scene.targets = .classes(ids)
    scene.labels = .classes(ids)
    let found = try RecordScene.measure(attack, on: scene.evidence(&random), &random)
    #expect(found.value == 1)
    #expect(try #require(found.interval).lower < 0.9)
    #expect(found.interval?.upper == 1)
  }

  /// Sixty tokens of each of ten samples, whose labels are all right in five of them and all of one cluster in the others: independent are the
  /// samples, and the interval is that much wider than that of 600 rows.
  @Test func tokensOfASampleAreNotIndependent() throws {
    var random = SplitMix(seed: 10)
    let truth = (0..<count).map { _ in Int32.random(in: 0..<3, using: &random) }
    let claimed = truth.enumerated().map { $0.offset / 60 % 2 == 0 ? $0.element : 0 }
    func reach(_ lengths: [Int32]?) throws -> Double {
      var scene = RecordScene(
        rows: RecordScene.normals(count, 2, &random), sample: RecordScene.normals(2, 2, &random))
      scene.lengths = lengths
      scene.outputs = Tensor(zeros: [count, 3])
      scene.targets = .classes(claimed)
      scene.labels = .classes(truth)
      let interval = try #require(RecordScene.measure(attack, on: scene.evidence(&random), &random).interval)
      return interval.upper - interval.lower
    }
    #expect(try reach(Array(repeating: 60, count: 10)) > 2 * reach(nil))
  }

  /// Signs and zeros are the labels under a permutation; under a rotation the fit finds both up to the few entries whose gradients are
  /// as small as what 32-bit floats leave.
  @Test(arguments: [SymmetryGroup.trivial, .permutation, .signedPermutation, .orthogonal])
  func everyAnswerUnder(group: SymmetryGroup) throws {
    var random = SplitMix(seed: 2)
    let found = try RecordScene.measure(attack, on: binaries(5, group, &random).evidence(&random), &random)
    #expect(try #require(found.value) > 0.99)
    #expect(try #require(found.detail("accuracy under the best matching")) > 0.999)
  }

  /// 2 n times the information of independent clusterings is χ² with 9 degrees of freedom (4 × 4 cells), a deviation of √18/(2 · 600 · ln 4) =
  /// 0.0026 of the adjusted information; five times that is allowed.
  @Test func noClassesFromRandomGradients() throws {
    var random = SplitMix(seed: 3)
    var scene = scene(&random)
    scene.outputs = RecordScene.normals(count, 4, &random)
    scene.targets = .gradients(RecordScene.normals(count, 4, &random))
    scene.labels = .classes((0..<count).map { _ in Int32.random(in: 0..<4, using: &random) })
    let found = try RecordScene.measure(attack, on: scene.evidence(&random), &random)
    #expect(abs(try #require(found.value)) < 0.013)
  }

  /// 2 n times the information of a column (3 × 2 cells) is χ² with 2 degrees of freedom, which exceeds 26 in one of 400,000 cases; it is
  /// tried sixteen times. 26/(2 · 600) over a mean entropy of at least 0.5 is 0.043.
  @Test func noAnswersFromRandomGradients() throws {
    var random = SplitMix(seed: 4)
    var scene = scene(&random)
    scene.outputs = RecordScene.normals(count, 4, &random)
    scene.targets = .gradients(RecordScene.normals(count, 4, &random))
    let answers = (0..<count * 4).map { _ in Float(Int.random(in: 0...1, using: &random)) }
    scene.labels = .values(Tensor(answers, shape: [count, 4]), isBinary: true)
    let found = try RecordScene.measure(attack, on: scene.evidence(&random), &random)
    #expect(try #require(found.value) < 0.043)
  }

  /// Class ids at the trainer are the clusters, whatever they are called; tokens that do not count are left out.
  @Test func idsAtTheTrainerAreTheClusters() throws {
    var random = SplitMix(seed: 5)
    let ids = (0..<count).map { _ in Int32.random(in: -1..<3, using: &random) }
    var scene = scene(&random)
    scene.outputs = Tensor(zeros: [count, 3])
    scene.targets = .classes(ids.map { $0 < 0 ? -1 : ($0 + 1) % 3 })
    scene.labels = .classes(ids)
    let found = try RecordScene.measure(attack, on: scene.evidence(&random), &random)
    #expect(abs(try #require(found.value) - 1) < 1e-9)
    #expect(found.rows == ids.count { $0 >= 0 })
  }

  /// Binary values at the trainer, NaN where missing, in an order of their own.
  @Test func answersAtTheTrainer() throws {
    var random = SplitMix(seed: 6)
    let choices: [Float] = [.nan, 0, 1]
    let known: [Float] = (0..<count * 3).map { _ in choices[Int.random(in: 0..<3, using: &random)] }
    let reordered: [Float] = (0..<count * 3).map { index in known[index / 3 * 3 + (index + 1) % 3] }
    var scene = scene(&random)
    scene.outputs = Tensor(zeros: [count, 3])
    scene.labels = .values(Tensor(known, shape: [count, 3]), isBinary: true)
    scene.targets = .values(Tensor(reordered, shape: [count, 3]))
    let found = try RecordScene.measure(attack, on: scene.evidence(&random), &random)
    #expect(abs(try #require(found.value) - 1) < 1e-9)
  }

  /// The gradient of the squared error is y − t: with outputs that spread by a tenth of the labels' deviation and know nothing of them, the
  /// squared correlation is 1/(1 + 0.01) = 0.990, ± 2 · 0.1/√600 · … well within 0.01.
  @Test func numbersFromGradients() throws {
    var random = SplitMix(seed: 7)
    var scene = scene(&random)
    let labels = RecordScene.normals(count, 1, &random)
    scene.outputs = RecordScene.normals(count, 1, &random)
    let gradients: [Float] = (0..<count).map { (0.1 * scene.outputs[$0] - labels[$0]) / 64 }
    scene.targets = .gradients(Tensor(gradients, shape: [count, 1]))
    scene.labels = .values(labels, isBinary: false)
    let found = try RecordScene.measure(attack, on: scene.evidence(&random), &random)
    #expect(abs(try #require(found.value) - 0.990) < 0.01)
  }

  @Test func withoutTargets() {
    var random = SplitMix(seed: 8)
    let evidence = scene(&random).evidence(&random)
    #expect(throws: Inapplicable("no targets were sent")) {
      try attack.knowledge(of: evidence, truth: evidence.truth, random: &random)
    }
  }
}
