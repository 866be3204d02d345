import Models
import Numerics
import Testing

@testable import Training

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
