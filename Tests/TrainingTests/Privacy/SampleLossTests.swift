import Models
import Numerics
import Protocol
import Testing

@testable import Training

/// Each sample's own loss.
@Suite struct SampleLossTests {
  private func check(_ task: LearningTask, _ outputs: Tensor<Double>, _ targets: Targets<Double>, _ lengths: [Int]?)
    throws
  {
    let loss = LossFunction(task: task)
    let layout = lengths.map(LayerHarness.layout)
    let found = try loss.evaluateEachSample(outputs: outputs, targets: targets, sequences: layout)
    var sum = 0.0
    for sample in 0..<(lengths?.count ?? outputs.rows) {
      let rows = layout?.range(ofSample: sample) ?? sample..<sample + 1
      let own = try loss.evaluate(
        outputs: outputs.slice(rows: rows), targets: targets[rows], normalizer: Double(targets[rows].observedCount))
      sum += own.lossSum
      for (a, b) in zip(found.gradient.slice(rows: rows).elements, own.gradient.elements) {
        #expect(abs(a - b) <= 1e-15)
      }
    }
    #expect(abs(found.lossSum - sum) < 1e-13)
  }

  @Test func `Every task's gradients are those of each sample alone`() throws {
    let outputs = Tensor(LayerHarness.noise(30, seed: 4), shape: [10, 3])
    try check(.classification, outputs, .classes((0..<10).map { Int32($0 % 3) }), nil)
    var values = LayerHarness.noise(30, seed: 5)
    for missing in [0, 4, 6, 7, 8, 29] { values[missing] = .nan }
    try check(.regression, outputs, .values(Tensor(values, shape: [10, 3])), nil)
    let labels = values.map { $0.isNaN ? $0 : $0 > 0 ? 1 : 0 }
    try check(.multilabel, outputs, .values(Tensor(labels, shape: [10, 3])), nil)
    // The second sample has no token that counts.
    let ids: [Int32] = [0, -1, 2, -1, -1, 1, 1, -1, 0, 2]
    try check(.tokenClassification, outputs, .classes(ids), [3, 2, 5])
    try check(.causalLanguageModel, outputs, .classes(ids), [3, 2, 5])
  }

  @Test func `A survival has no losses of samples`() throws {
    #expect(throws: TrainingError.self) {
      try LossFunction(task: .survival).evaluateEachSample(
        outputs: Tensor<Double>([1], shape: [1, 1]), targets: .times([SurvivalTime(time: 1, isEvent: true)]))
    }
  }

  @Test func `Lengths that are not the targets' are refused`() throws {
    #expect(throws: TrainingError.self) {
      try LossFunction(task: .tokenClassification).evaluateEachSample(
        outputs: Tensor<Double>([1, 2], shape: [2, 1]), targets: .classes([0, 0]),
        sequences: LayerHarness.layout([3]))
    }
  }
}
