import Models
import Foundation
import Numerics
import Testing

@testable import Training

@Suite struct MetricAccumulatorTests {
  private func area(_ scores: [Double], _ labels: [Double]) throws -> Double? {
    var metrics = MetricAccumulator(task: .multilabel)
    try metrics.add(
      outputs: Tensor(scores, shape: [scores.count, 1]), targets: .values(Tensor(labels, shape: [labels.count, 1])))
    return metrics.result()["roc_auc"]
  }

  @Test func rankingAreaWorkedByHand() throws {
    // Pairs (0.35, 0.1) (0.8, 0.1) (0.8, 0.4) of 4 are right.
    #expect(try area([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == 0.75)
    #expect(try area([3, 2, 1], [0, 0, 1]) == 0)
  }

  @Test func tiesCountHalf() throws {
    // Each positive (0.5) ties with one negative and beats the other: 1.5 of 2.
    #expect(try area([0.5, 0.5, 0.5, 0.2], [1, 0, 1, 0]) == 0.75)
    #expect(try area([1, 1, 1, 1], [1, 0, 0, 1]) == 0.5)
  }

  @Test func tasksWithOneClassAndMissingEntriesAreLeftOut() throws {
    var metrics = MetricAccumulator(task: .multilabel)
    // Task 0: two observed, ranked rightly. Task 1: positives only. In two parts.
    try metrics.add(
      outputs: Tensor<Float>([2, 0, 1, 0], shape: [2, 2]),
      targets: .values(Tensor([1, 1, 0, 1], shape: [2, 2])))
    try metrics.add(
      outputs: Tensor<Float>([-9, 0], shape: [1, 2]), targets: .values(Tensor([.nan, 1], shape: [1, 2])))
    #expect(metrics.result().primary == Metric(name: "roc_auc", value: 1, higherIsBetter: true))
  }

  @Test func accuracyAndMacroF1WorkedByHand() throws {
    var metrics = MetricAccumulator(task: .classification)
    // Answers 0, 0, 1, 2 for labels 0, 1, 1, 1; class 3 never occurs.
    try metrics.add(
      outputs: Tensor<Float>([9, 0, 0, 0, 9, 0, 0, 0], shape: [2, 4]), targets: .classes([0, 1]))
    try metrics.add(
      outputs: Tensor<Float>([0, 9, 0, 0, 0, 0, 9, 0], shape: [2, 4]), targets: .classes([1, 1]))
    let result = metrics.result()
    #expect(result.primary == Metric(name: "accuracy", value: 0.5, higherIsBetter: true))
    // F1: 2·1/(2+1), 2·1/(1+3), 0/(1+0).
    #expect(result["macro_f1"] == (2.0 / 3 + 0.5 + 0) / 3)
  }

  @Test func errorAndDeterminationWorkedByHand() throws {
    var metrics = MetricAccumulator(task: .regression)
    // Residuals 1, −2, 0 (and one missing); columns' means 2 and 5: deviations 1 + 1 + 0.
    try metrics.add(
      outputs: Tensor<Double>([2, 3, 3, 5], shape: [2, 2]), targets: .values(Tensor([1, 5, 3, .nan], shape: [2, 2])))
    let result = metrics.result()
    #expect(result.primary == Metric(name: "rmse", value: (5.0 / 3).squareRoot(), higherIsBetter: false))
    #expect(result["r2"] == 1 - 5.0 / 2)
  }

  @Test func determinationKeepsItsDigitsFarFromZero() throws {
    // In 2²⁰ ± 1 every number below is exact; Σt² − n·mean² would cancel 40 bits.
    var metrics = MetricAccumulator(task: .regression)
    let base = Double(1 << 20)
    try metrics.add(
      outputs: Tensor([base, base], shape: [2, 1]), targets: .values(Tensor([base - 1, base + 1], shape: [2, 1])))
    #expect(metrics.result()["r2"] == 0)
  }

  @Test func nothingSeenIsUndefinedAndEncodable() throws {
    for task in LearningTask.allCases {
      let result = MetricAccumulator(task: task).result()
      #expect(result.primary.value == nil)
      #expect(try JSONDecoder().decode(Metrics.self, from: JSONEncoder().encode(result)) == result)
    }
  }

  @Test func permutedClassesAndTasksGiveTheSame() throws {
    let noise = LayerHarness.noise(40 * 5, seed: 8)
    let labels = (0..<40).map { Int32($0 * 7 % 5) }
    let order = [3, 0, 4, 1, 2]
    let permuted = (0..<40).flatMap { row in order.map { noise[row * 5 + $0] } }
    let place = order.enumerated().reduce(into: [0, 0, 0, 0, 0]) { $0[$1.element] = $1.offset }
    var plain = MetricAccumulator(task: .classification)
    var masked = MetricAccumulator(task: .classification)
    try plain.add(outputs: Tensor(noise, shape: [40, 5]), targets: .classes(labels))
    try masked.add(outputs: Tensor(permuted, shape: [40, 5]), targets: .classes(labels.map { Int32(place[Int($0)]) }))
    #expect(plain.result()["accuracy"] == masked.result()["accuracy"])
    // Five terms in another order: 5 roundings of numbers below 5.
    #expect(abs((plain.result()["macro_f1"] ?? 0) - (masked.result()["macro_f1"] ?? 1)) < 1e-15)

    let marks = LayerHarness.noise(40 * 5, seed: 9).map { $0 > 0 ? 1.0 : 0 }
    var tasks = MetricAccumulator(task: .multilabel)
    var swapped = MetricAccumulator(task: .multilabel)
    try tasks.add(outputs: Tensor(noise, shape: [40, 5]), targets: .values(Tensor(marks, shape: [40, 5])))
    try swapped.add(
      outputs: Tensor(permuted, shape: [40, 5]),
      targets: .values(Tensor((0..<40).flatMap { row in order.map { marks[row * 5 + $0] } }, shape: [40, 5])))
    #expect(abs((tasks.result()["roc_auc"] ?? 0) - (swapped.result()["roc_auc"] ?? 1)) < 1e-15)
  }

  @Test func rotatedRegressionGivesTheSame() throws {
    let outputs = LayerHarness.noise(30 * 2, seed: 1)
    let targets = LayerHarness.noise(30 * 2, seed: 2)
    func rotated(_ values: [Double]) -> [Double] {
      stride(from: 0, to: 60, by: 2).flatMap { index -> [Double] in
        let (x, y) = (values[index], values[index + 1])
        return [0.6 * x - 0.8 * y, 0.8 * x + 0.6 * y]
      }
    }
    var plain = MetricAccumulator(task: .regression)
    var masked = MetricAccumulator(task: .regression)
    try plain.add(outputs: Tensor(outputs, shape: [30, 2]), targets: .values(Tensor(targets, shape: [30, 2])))
    try masked.add(
      outputs: Tensor(rotated(outputs), shape: [30, 2]), targets: .values(Tensor(rotated(targets), shape: [30, 2])))
    for name in ["rmse", "r2"] {
      // 60 terms, each off by a few units of 2.2e-16.
      #expect(abs((plain.result()[name] ?? 0) - (masked.result()[name] ?? 9)) < 1e-13)
    }
  }

  @Test func theFirstOfEqualMetricsIsKept() {
    let accuracy = { Metric(name: "accuracy", value: $0, higherIsBetter: true) }
    let error = { Metric(name: "rmse", value: $0, higherIsBetter: false) }
    #expect(accuracy(0.6).isBetter(than: accuracy(0.5)))
    #expect(!accuracy(0.5).isBetter(than: accuracy(0.5)))
    #expect(error(0.4).isBetter(than: error(0.5)))
    #expect(!accuracy(nil).isBetter(than: accuracy(0.1)))
    #expect(accuracy(0.1).isBetter(than: accuracy(nil)))
  }

  @Test func targetsThatDoNotFitAreRefused() {
    var metrics = MetricAccumulator(task: .classification)
    #expect(throws: TrainingError.classOutOfRange(row: 0, classes: 2)) {
      try metrics.add(outputs: Tensor<Float>(zeros: [1, 2]), targets: .classes([2]))
    }
    #expect(throws: TrainingError.self) {
      try metrics.add(outputs: Tensor<Float>(zeros: [2, 2]), targets: .classes([1]))
    }
    var regression = MetricAccumulator(task: .regression)
    #expect(throws: TrainingError.self) {
      try regression.add(outputs: Tensor<Float>(zeros: [2, 2]), targets: .values(Tensor(zeros: [2, 1])))
    }
  }
}
