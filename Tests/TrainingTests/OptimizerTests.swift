import Foundation
import Models
import Numerics
import Testing

@testable import Training

/// Update rules worked by hand on one number.
@Suite struct OptimizerTests {
  private func run(
    _ description: OptimizerDescription, weight: Double, gradients: [Double], rate: Double, clip: Double = 1
  ) -> [Double] {
    let parameter = ParameterSpecification(name: "b", shape: [1], rows: SpaceID("s"), columns: nil)
    let optimizer = description.makeOptimizer(for: [parameter], Double.self)
    let weights = MatrixBuffer<Double>(rows: 1, columns: 1)
    let gradient = MatrixBuffer<Double>(rows: 1, columns: 1)
    weights.elements[0] = weight
    return gradients.enumerated().map { step, value in
      gradient.elements[0] = value
      optimizer.update(
        0, parameter: weights, gradient: gradient, UpdateSettings(learningRate: rate, clip: clip, step: step),
        compute: Compute(threads: 1))
      return weights.elements[0]
    }
  }

  private func description(
    _ kind: OptimizerDescription.Kind, momentum: Double = 0, nesterov: Bool = false, decay: Double = 0
  ) -> OptimizerDescription {
    OptimizerDescription(
      kind: kind, learningRate: 1, momentum: momentum, nesterov: nesterov, weightDecay: decay, clipNorm: nil)
  }

  // All numbers below are sums of powers of two, so that results are exact.
  @Test func plainDescentDecaysThroughTheGradient() {
    // 1 − 0.5·(2 + 0.25·1), then −0.125 − 0.5·(1 − 0.03125).
    #expect(run(description(.sgd, decay: 0.25), weight: 1, gradients: [2, 1], rate: 0.5) == [-0.125, -0.609375])
  }

  @Test func theFirstMomentumStepIsTheGradient() {
    // Buffers 2, 0.5·2 + 1 = 2.
    #expect(run(description(.sgd, momentum: 0.5), weight: 1, gradients: [2, 1], rate: 0.5) == [0, -1])
  }

  @Test func nesterovLooksAhead() {
    // 2 + 0.5·2 = 3; buffer 2, 1 + 0.5·2 = 2.
    #expect(
      run(description(.sgd, momentum: 0.5, nesterov: true), weight: 1, gradients: [2, 1], rate: 0.5) == [-0.5, -1.5])
  }

  @Test func clippingScalesTheGradientBeforeDecay() {
    #expect(run(description(.sgd, decay: 0.25), weight: 1, gradients: [8], rate: 0.5, clip: 0.25) == [-0.125])
  }

  @Test func adamsFirstStepIsTheRateWhateverTheGradient() {
    // m̂ / √v̂ = sign(g): 1·(1 − 0.5·0.25) − 0.5, up to epsilon / |g| = 1e-8.
    let result = run(description(.adamw, decay: 0.25), weight: 1, gradients: [-3], rate: 0.5)
    #expect(abs(result[0] - 1.375) < 1e-8)
  }

  @Test func muonMovesVectorsByTheNesterovDirection() {
    // u = 2 + 0.5·2 = 3: 1 − 0.5·(3 + 0.25).
    #expect(run(description(.muon, momentum: 0.5, decay: 0.25), weight: 1, gradients: [2], rate: 0.5) == [-0.625])
  }

  @Test func muonsMatrixIsHomogeneousWithoutPadding() {
    // A 1 × n row: X₀ = u/‖u‖ has the singular value 1, so X is p⁵(1) times the unit row, with
    // p(x) = 3.4445 x − 4.775 x³ + 2.0315 x⁵; the scale is 0.2·√(features + 1), not √(features + 1 + padding).
    let input = HomogeneousColumns(features: 3, padding: 5)
    let parameter = ParameterSpecification(
      name: "w", shape: [1, 9], rows: SpaceID("r"), columns: SpaceID("c"), homogeneous: input, biasName: "b")
    let optimizer = Muon<Double>(description(.muon), [parameter])
    let weights = MatrixBuffer<Double>(rows: 1, columns: 9)
    let gradient = MatrixBuffer<Double>(rows: 1, columns: 9)
    gradient.elements[2] = 7
    optimizer.update(
      0, parameter: weights, gradient: gradient, UpdateSettings(learningRate: 1, clip: 1, step: 0),
      compute: Compute(threads: 1))
    let singular = (0..<5).reduce(7 / (7 + 1e-7)) { x, _ in
      let square = x * x
      return 3.4445 * x - 4.775 * x * square + 2.0315 * x * square * square
    }
    // Five polynomials of a dozen roundings each, slopes up to 3.4.
    #expect(abs(weights.elements[2] + 0.2 * 2 * singular) < 1e-12)
    #expect(weights.elements.enumerated().allSatisfy { $0.offset == 2 || $0.element == 0 })
  }

  @Test(arguments: [(40, 300), (300, 40), (90, 90)]) func muonsBitsDoNotDependOnThreads(_ shape: (Int, Int)) {
    let results = [1, 2, 3, 7].map { threads in
      let parameter = ParameterSpecification(
        name: "w", shape: [shape.0, shape.1], rows: SpaceID("r"), columns: SpaceID("c"))
      let optimizer = Muon<Float>(description(.muon, momentum: 0.9), [parameter])
      let weights = MatrixBuffer<Float>(rows: shape.0, columns: shape.1)
      let gradient = MatrixBuffer<Float>(rows: shape.0, columns: shape.1)
      for (index, value) in LayerHarness.noise(gradient.count, seed: 4).enumerated() {
        gradient.elements[index] = Float(value)
      }
      optimizer.update(
        0, parameter: weights, gradient: gradient, UpdateSettings(learningRate: 1, clip: 1, step: 0),
        compute: Compute(threads: threads))
      return weights.elements.map(\.bitPattern)
    }
    #expect(results.allSatisfy { $0 == results[0] })
    #expect(results[0].contains { $0 != 0 })
  }

  static let unusable: [OptimizerDescription] = [
    OptimizerDescription(kind: .sgd, learningRate: 0, momentum: 0, nesterov: false, weightDecay: 0, clipNorm: nil),
    OptimizerDescription(kind: .sgd, learningRate: .nan, momentum: 0, nesterov: false, weightDecay: 0, clipNorm: nil),
    OptimizerDescription(kind: .sgd, learningRate: 1, momentum: 1, nesterov: false, weightDecay: 0, clipNorm: nil),
    OptimizerDescription(kind: .sgd, learningRate: 1, momentum: 0, nesterov: true, weightDecay: 0, clipNorm: nil),
    OptimizerDescription(kind: .sgd, learningRate: 1, momentum: 0, nesterov: false, weightDecay: -1, clipNorm: nil),
    OptimizerDescription(kind: .sgd, learningRate: 1, momentum: 0, nesterov: false, weightDecay: 0, clipNorm: 0),
    OptimizerDescription(kind: .muon, learningRate: 1, momentum: 0.9, nesterov: true, weightDecay: 0, clipNorm: nil),
  ]

  @Test(arguments: unusable.indices) func aSettingOutOfRangeIsRefused(_ index: Int) {
    #expect(throws: TrainingError.self) { try Self.unusable[index].validate() }
  }
}

/// Twelve steps beside PyTorch's, for every optimizer and option.
@Suite struct OptimizerTrajectoryTests {
  static let trajectories = Result { try Fixture.read("trajectories", as: Trajectories.self) }

  static var runs: [Trajectories.Run] { (try? trajectories.get().runs) ?? [] }

  @Test func theFixtureHoldsEveryOptimizer() throws {
    let runs = try Self.trajectories.get().runs
    #expect(Set(runs.map(\.kind)) == Set(OptimizerDescription.Kind.allCases))
    #expect(runs.contains { $0.nesterov } && runs.contains { $0.clipNorm != nil && $0.norms.contains { $0 > 0.5 } })
  }

  /// Each of the 12 steps rounds a few hundred operations (2.2e-16 each) and passes them on with factors near 1: about
  /// 1e-14. Adam divides by √v, which magnifies the error of small gradients up to a hundredfold; Newton–Schulz magnifies
  /// small singular values by up to 3.4445⁵ ≈ 500. 1e-11 covers both.
  @Test(arguments: runs) func weightsLossesAndNormsAreThose(_ run: Trajectories.Run) throws {
    let data = try Self.trajectories.get()
    for padding in [0, 2] {
      let engine = try data.engine(run, padding: padding, Double.self)
      for step in 0..<data.steps {
        let mean = try self.step(engine, data, step, padding: padding)
        let report = try engine.finishStep()
        #expect(abs(mean - run.losses[step]) <= 1e-11 * run.losses[step], "loss of step \(step)")
        #expect(abs(report.gradientNorm - run.norms[step]) <= 1e-11 * run.norms[step], "norm of step \(step)")
      }
      let expected: [Tensor<Double>] = data.parameters(run.final, padding: padding)
      for (found, wanted) in zip(engine.parameters, expected) {
        let scale = wanted.elements.map(abs).max() ?? 1
        // Padding columns stay exactly 0, or nearly for Adam, whose gradients there are 0.
        #expect(zip(found.elements, wanted.elements).allSatisfy { abs($0 - $1) <= 1e-11 * scale })
      }
    }
  }

  /// Outputs out, gradients in, micro-batch by micro-batch; the batch's mean loss.
  private func step(
    _ engine: TrainingEngine<Double>, _ data: Trajectories, _ step: Int, padding: Int
  ) throws -> Double {
    let loss = LossFunction(task: .regression)
    let targets: Targets<Double> = data.targets(step: step)
    var sum = 0.0
    var start = 0
    for outputs in try data.forward(engine, step: step, padding: padding, part: 2) {
      let range = start..<start + outputs.rows
      let part = try loss.evaluate(
        outputs: outputs, targets: targets[range], normalizer: Double(targets.observedCount))
      try engine.setOutputGradient(part.gradient, rows: range)
      sum += part.lossSum
      start = range.upperBound
    }
    return sum / Double(targets.observedCount)
  }
}

/// The formulas of docs/job-reference.md worked by hand for N = 10.
@Suite struct LearningRateScheduleTests {
  private func rates(_ warmup: Double, _ decay: ScheduleDescription.Decay) -> [Double] {
    let schedule = LearningRateSchedule(
      ScheduleDescription(warmup: warmup, decay: decay), learningRate: 2, totalSteps: 10)
    return (0..<10).map(schedule.rate)
  }

  /// One division or multiplication apart at most: a unit of 2.2e-16 times the rate 2, twice.
  private func expect(_ found: [Double], _ expected: [Double]) {
    #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-15 } && found.count == expected.count, "\(found)")
  }

  @Test func noneIsConstantAfterWarmup() {
    expect(rates(0, .none), Array(repeating: 2, count: 10))
    // w = ⌈0.35 · 10⌉ = 4.
    expect(rates(0.35, .none), [0.5, 1, 1.5, 2, 2, 2, 2, 2, 2, 2])
  }

  @Test func linearEndsAtTheLastShare() {
    expect(rates(0, .linear), [2, 1.8, 1.6, 1.4, 1.2, 1, 0.8, 0.6, 0.4, 0.2])
    // w = 5: (10 − t) / 5.
    expect(rates(0.5, .linear), [0.4, 0.8, 1.2, 1.6, 2, 2, 1.6, 1.2, 0.8, 0.4])
  }

  @Test func cosineFallsAsAHalfWave() {
    let wave = (0..<6).map { 1 + cos(.pi * Double($0) / 6) }
    expect(rates(0.4, .cosine), [0.5, 1, 1.5, 2] + wave)
    #expect(abs(wave[3] - 1) < 1e-15)
  }

  @Test func warmupOverTheWholeRunReachesThePeakAtTheEnd() {
    expect(rates(1, .linear), (1...10).map { 0.2 * Double($0) })
  }
}
