import Models
import Numerics
import Testing

@testable import Training

/// Whole runs in bfloat16 beside PyTorch's autocast, each by its distance from a float64 twin of its own.
@Suite struct BFloat16TrajectoryTests {
  /// Over runs from three sets of numbers, so that one lucky rounding does not decide. Autocast is given its rows in single precision, and so is
  /// the engine.
  @Test(arguments: ["bert", "llama", "lora"], OptimizerDescription.Kind.allCases)
  func isAsNearToDoubleAsAutocast(_ name: String, _ kind: OptimizerDescription.Kind) throws {
    try expect(name, kind, rowsTravel: false, within: 1.1)
  }

  /// At a trainer rows have been rounded on their way, which autocast's have not: that much is added by what travels, not by what computes.
  @Test(arguments: ["bert", "llama", "lora"], OptimizerDescription.Kind.allCases)
  func rowsThatHaveTravelledAddLittle(_ name: String, _ kind: OptimizerDescription.Kind) throws {
    try expect(name, kind, rowsTravel: true, within: 1.2)
  }

  private func expect(
    _ name: String, _ kind: OptimizerDescription.Kind, rowsTravel: Bool, within bar: Double
  ) throws {
    let fixture = try BFloat16Fixture.read.get()
    let runs = fixture.runs(name, kind)
    try #require(runs.count == 3)
    var (own, autocast) = (0.0, 0.0)
    for run in runs {
      let compute = Compute(workers: Workers(threads: 2), precision: .bfloat16)
      let double = try fixture.engine(run, Double.self, compute: Compute(threads: 2))
      let start = try fixture.engine(run, Double.self, compute: Compute(threads: 2))
      let narrow = try fixture.engine(run, Float.self, compute: compute)
      for loss in run.losses {
        // The twin is PyTorch's: roundings of 1e-16, which 50 steps multiply; Adam's first steps most.
        #expect(abs(try fixture.step(double, run) - loss) <= 1e-6 * loss)
        try fixture.step(narrow, run, rowsTravel: rowsTravel)
      }
      #expect(abs(distance(double, start) / run.movement - 1) <= 1e-6)
      let strayed = distance(narrow, double)
      own += strayed * strayed
      autocast += run.distance * run.distance
      // A run that computes in single precision is a hundred times as near.
      #expect(strayed >= 0.1 * run.distance)
    }
    let ratio = (own / autocast).squareRoot()
    #expect(ratio <= bar, "\(name), \(kind): \(ratio) times as far as autocast")
  }
}
