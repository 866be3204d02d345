import Architecture
import Attacks
import Exposure
import Foundation
import Tensors
import Testing

@Suite struct LabelInferenceTests {
  private let attack = LabelInference(workers: RecordScene.workers, restarts: 4, draws: 40)
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
    scene.outputs = outputs.times(key, otherTransposed: true, workers: RecordScene.workers).converted()
    scene.targets = .gradients(
      gradients.times(key, otherTransposed: true, workers: RecordScene.workers).converted())
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
