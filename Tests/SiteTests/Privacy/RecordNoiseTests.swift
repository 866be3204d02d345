import Datasets
import Federation
import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import OwnerRole
import Privacy
import SecureSums
import TestSupport
import Testing
import Training

@testable import SiteRole

/// `plan.h5` of a site.
private struct DrawnPlan {
  let batches: [[Int]]
  let rounds: [[Int]]

  init(_ path: String) throws {
    let file = try HDF5File(path: path)
    func lines(_ name: String) throws -> [[Int]] {
      let source = try file.openFeatures(path: name)
      var numbers = [Double](repeating: 0, count: source.rows * source.columns)
      try numbers.withUnsafeMutableBufferPointer { try source.read(rows: 0..<source.rows, into: $0) }
      return (0..<source.rows).map { row in
        numbers[(row * source.columns)..<((row + 1) * source.columns)].filter { $0 >= 0 }.map { Int($0) }
      }
    }
    batches = try lines("batches")
    rounds = try lines("rounds")
  }
}

/// `unit: record`: DP-SGD at a site against loops over single rows in double precision, with batches as drawn and the noise drawn again.
@Suite struct RecordNoiseTests {
  /// A perceptron of three features, three hidden tanh units and one output: [W | b], w, c.
  private struct SmallPerceptron {
    var hidden: [[Double]]
    var output: [Double]
    var bias: Double

    init(_ parameters: [Tensor<Double>]) {
      hidden = (0..<3).map { row in Array(parameters[0].elements[(4 * row)..<(4 * row + 4)]) }
      output = parameters[1].elements
      bias = parameters[2].elements[0]
    }

    /// All numbers in the order of the parameters.
    var numbers: [Double] { hidden.flatMap(\.self) + output + [bias] }

    /// ∂(o − t)² of one row, in the same order.
    func gradient(_ row: [Double], _ target: Double) -> [Double] {
      let input = row + [1]
      let units = hidden.map { weights in tanh(zip(weights, input).reduce(0) { $0 + $1.0 * $1.1 }) }
      let slope = 2 * (zip(output, units).reduce(bias) { $0 + $1.0 * $1.1 } - target)
      var gradient: [Double] = []
      for unit in 0..<3 {
        let inner = slope * output[unit] * (1 - units[unit] * units[unit])
        gradient += input.map { inner * $0 }
      }
      return gradient + units.map { slope * $0 } + [slope]
    }

    mutating func step(_ gradient: [Double], rate: Double) {
      for unit in 0..<3 {
        for column in 0..<4 { hidden[unit][column] -= rate * gradient[4 * unit + column] }
        output[unit] -= rate * gradient[12 + unit]
      }
      bias -= rate * gradient[15]
    }
  }

  @Test(arguments: [0, 0.7])
  func `Local steps are those of a loop over single rows, each clipped, and the noise on top`(
    pull: Double
  ) throws {
    // Two rows of 14 on average, so that some batches are empty.
    let federation = try PrivacyFixture.federation(
      unit: "record", privacy: "clip_norm: 0.4, epsilon: 2, delta: 1.0e-2", rounds: 2, local: "{updates: 12}",
      hidden: "[3]", batch: 2)
    let work = try federation.work(0, secret: PrivacyFixture.secret(0))
    let privacy = try #require(work.privacy)
    let steps = try #require(try privacy.localSteps(federation.plan.charter, trainingRows: 14))
    let prepared = try federation.data(0).prepared
    let keys = JobKeys<Double>(master: MasterKey(), plan: prepared.shape.keyPlan, compute: Compute(threads: 1))
    var times = PhaseTimes()
    let samples = try prepared.readSamples(
      keys: keys, master: MasterKey(), noise: nil, standardization: nil, scratch: federation.directory.url,
      times: &times, progress: { _, _ in }
    ).samples
    let weights = prepared.shape.startingWeights(secret: try OrderSecret(ephemeralWithSeed: 1))
    let initial: [Tensor<Double>] = try prepared.shape.structure.parameters.map { try weights.tensor($0) }
    #expect(initial.map(\.shape) == [[3, 4], [1, 3], [1]])
    let training = try LocalTraining(
      prepared: prepared, samples: samples, initial: initial, stepsPerRound: 12, rounds: 2, privateSteps: steps,
      compute: Compute(threads: 1))
    let (features, targets) = federation.values(of: 0)
    let sigma = privacy.plan.mechanism.noiseMultiplier
    var expected = SmallPerceptron(initial)
    var parameters = initial
    var (sizes, clippedRows) = ([Int](), 0)
    for round in 0..<2 {
      let origin = expected.numbers
      parameters = try training.train(
        round: round, from: parameters,
        adding: pull > 0 ? ProximalTerm(strength: pull, origin: parameters) : nil,
        noise: privacy.stepNoise(round: round, model: "m")?.source
      ).weights
      for step in (12 * round)..<(12 * round + 12) {
        let rows = try training.rows(ofStep: step)
        sizes.append(rows.count)
        var sum = [Double](repeating: 0, count: 16)
        for row in rows.map({ Int($0) }) {
          let gradient = expected.gradient(features[row], targets[row])
          let norm = gradient.reduce(0) { $0 + $1 * $1 }.squareRoot()
          if norm > 0.4 { clippedRows += 1 }
          for place in 0..<16 { sum[place] += gradient[place] * min(1, 0.4 / norm) }
        }
        let noise = zip([12, 3, 1], 0...).flatMap { count, number in
          PrivacyFixture.normals(
            count, federation, site: 0, round: round, model: "m",
            label: "local steps/step \(step)/parameter \(number)")
        }
        let mean = zip(sum, noise).map { ($0 + sigma * 0.4 * $1) / 2 }
        // fedprox's pull is no record's, and not clipped.
        let pulled = zip(mean, zip(expected.numbers, origin)).map { $0 + pull * ($1.0 - $1.1) }
        expected.step(pulled, rate: 0.05)
      }
      // A few dozen roundings of numbers of order 1 in 24 steps.
      for (a, b) in zip(parameters.flatMap(\.elements), expected.numbers) { #expect(abs(a - b) < 1e-12) }
    }
    #expect(sizes.contains(0) && sizes.contains { $0 > 2 } && clippedRows > 0)
  }

  /// [W | b] of a linear model after steps on all rows but some, in double precision, each row's gradient clipped.
  private func stepped(
    _ start: [Double], steps: Int, _ rows: [Int], _ values: (features: [[Double]], targets: [Double]), batch: Double
  ) -> [Double] {
    var weights = start
    for _ in 0..<steps {
      var sum = [0.0, 0, 0, 0]
      for row in rows {
        let input = values.features[row] + [1]
        let slope = 2 * (zip(weights, input).reduce(0) { $0 + $1.0 * $1.1 } - values.targets[row])
        let norm = input.reduce(0) { $0 + slope * slope * $1 * $1 }.squareRoot()
        for place in 0..<4 { sum[place] += slope * input[place] * min(1, 0.4 / norm) }
      }
      for place in 0..<4 { weights[place] -= 0.05 * sum[place] / batch }
    }
    return weights
  }

  /// A weight under which a value of 3·10³⁸ gives outputs that are not finite, and one under which twice the output is not.
  @Test(arguments: [4, 0.9]) func `A record whose outputs or gradient overflow counts for nothing, and the run goes on`(
    weight: Float
  ) throws {
    // All 14 rows in every batch.
    let federation = try PrivacyFixture.federation(
      unit: "record", privacy: "clip_norm: 0.4, epsilon: 2, delta: 1.0e-2", batch: 14)
    let training = try federation.data(0).prepared.split.training
    let wild = try #require(training.dropFirst(3).first)
    try federation.write(0, replacing: (row: wild, column: 1, value: 3e38))
    let work = try federation.work(0)
    let local = try #require(try work.localTraining() as? LocalTraining<Float>)
    let start: [Float] = [0.5, weight, -0.25, 0.125]
    let outcome = try local.train(round: 0, from: [Tensor(start, shape: [1, 4])])
    let values = federation.values(of: 0)
    let expected = stepped(
      start.map { Double($0) }, steps: 3, training.filter { $0 != wild }, values, batch: 14)
    // Three steps of 13 rows in single precision.
    for (a, b) in zip(outcome.weights[0].elements, expected) { #expect(abs(Double(a) - b) < 1e-5) }
    // It was there: without privacy it ends the run.
    let other = try SmallFederation(strength: "none", batch: 14)
    try other.write(0, replacing: (row: wild, column: 1, value: 3e38))
    let usual = try #require(try other.work(0).localTraining() as? LocalTraining<Float>)
    #expect(throws: (any Error).self) { try usual.train(round: 0, from: [Tensor(start, shape: [1, 4])]) }
  }

  @Test func `A feature that is not a number is refused before the site joins`() throws {
    let federation = try PrivacyFixture.federation(unit: "record")
    try federation.write(0, replacing: (row: 5, column: 1, value: .nan))
    let work = try federation.work(0)
    let error = #expect(throws: (any Error).self) { try work.begin() }
    #expect("\(String(describing: error))".contains("row 5, column 2"))
    try federation.work(1).begin()
  }

  /// A batch is of the site's secret and nothing that others know.
  @Test func `plan.h5 has the rows that were drawn, which another secret would not draw`() throws {
    let federation = try PrivacyFixture.federation(unit: "record", rows: [60, 40, 9], rounds: 3)
    func batches(_ run: SiteWork, _ site: Int) throws -> [[Int32]] {
      let training = try #require(try run.localTraining() as? LocalTraining<Float>)
      return try (0..<9).map { try training.rows(ofStep: $0) }
    }
    let work = try federation.work(0, secret: PrivacyFixture.secret(0))
    try work.writePlan { _, _ in }
    let drawn = try batches(work, 0)
    let written = try DrawnPlan(federation.runDirectory(0).run.plan.path)
    #expect(written.batches == drawn.map { $0.map(Int.init) })
    #expect(written.rounds == [[0, 3], [3, 6], [6, 9]])
    #expect(
      Set(drawn.flatMap(\.self)).isSubset(of: Set(try federation.data(0).prepared.split.training.map { Int32($0) })))
    let other = try PrivacyFixture.federation(unit: "record", rows: [60, 40, 9], rounds: 3)
    #expect(try batches(other.work(0, secret: PrivacyFixture.secret(1)), 0) != drawn)
  }

  @Test func `Noise and rate follow from a site's own rows`() throws {
    let federation = try PrivacyFixture.federation(unit: "record", rounds: 2)
    for (site, rows) in [(0, 14), (1, 32), (2, 7)] {
      let plan = try #require(try federation.work(site).privacyPlan)
      #expect(plan.mechanism.sampleRate == 4.0 / Double(rows) && plan.mechanism.steps == 6)
      let spent = try PrivacySpending.spent([plan.mechanism], delta: 1e-5)
      #expect(spent.epsilon <= 20 && spent.epsilon > 19.9)
      #expect(try plan.ownDeviation == plan.mechanism.noiseMultiplier * 0.05)
    }
  }

  @Test func `A site with fewer rows than a batch is refused by name`() throws {
    let federation = try PrivacyFixture.federation(unit: "record", batch: 8)
    _ = try federation.data(0)
    let error = #expect(throws: OwnerError.self) { try federation.data(2) }
    #expect(error?.description.contains("has 7 training rows, fewer than the charter's train.batch, 8") == true)
  }
}
