import Foundation
import Masking
import Models
import Numerics
import OwnerRole
import TestSupport
import Testing
import Training

@testable import SiteRole

/// Local updates against loops that are written out, in double precision: a linear model, squared error, plain SGD.
@Suite struct LocalTrainingTests {
  private struct LinearModel {
    var weights: [Double]
    var bias: Double

    /// ∂ of the mean squared error over rows.
    func gradient(_ features: [[Double]], _ targets: [Double], _ rows: [Int32]) -> LinearModel {
      var result = LinearModel(weights: weights.map { _ in 0 }, bias: 0)
      for row in rows.map({ Int($0) }) {
        let output = zip(weights, features[row]).reduce(bias) { $0 + $1.0 * $1.1 }
        let slope = 2 * (output - targets[row]) / Double(rows.count)
        for column in weights.indices { result.weights[column] += slope * features[row][column] }
        result.bias += slope
      }
      return result
    }
  }

  /// A site's trainer in double precision, and its model's starting weights.
  private func trainer(
    _ federation: SmallFederation, site: Int
  ) throws -> (training: LocalTraining<Double>, start: Tensor<Double>) {
    let prepared = try federation.data(site).prepared
    let keys = JobKeys<Double>(master: MasterKey(), plan: prepared.shape.keyPlan, compute: Compute(threads: 1))
    var times = PhaseTimes()
    let samples = try prepared.readSamples(
      keys: keys, master: MasterKey(), noise: nil, standardization: nil, scratch: federation.directory.url,
      times: &times, progress: { _, _ in }
    ).samples
    let weights = prepared.shape.startingWeights(
      secret: try OrderSecret(ephemeralWithSeed: 1))
    let initial: [Tensor<Double>] = try prepared.shape.structure.parameters.map { try weights.tensor($0) }
    let training = try LocalTraining(
      prepared: prepared, samples: samples, initial: initial,
      stepsPerRound: try federation.data(site).stepsPerRound, rounds: 2, compute: Compute(threads: 1))
    return (training, initial[0])
  }

  /// [W | b | padding] of one output.
  private func model(_ tensor: Tensor<Double>) -> LinearModel {
    let elements = tensor.elements
    return LinearModel(weights: Array(elements[..<3]), bias: elements[3])
  }

  private func expectEqual(_ tensor: Tensor<Double>, _ expected: LinearModel) {
    let found = model(tensor)
    // Sums of three products and of at most four rows, six steps: a few hundred roundings of numbers of order 1.
    for (a, b) in zip(found.weights + [found.bias], expected.weights + [expected.bias]) { #expect(abs(a - b) < 1e-13) }
  }

  @Test func `Steps of two rounds go through the site's rows pass after pass`() throws {
    let federation = try SmallFederation(strength: "none")
    let (training, start) = try trainer(federation, site: 0)
    let (features, targets) = federation.values(of: 0)
    var expected = model(start)
    var weights = [start]
    var seen: [Int32] = []
    for round in 0..<2 {
      for step in 0..<3 {
        let rows = try training.rows(ofStep: 3 * round + step)
        seen += rows
        let gradient = expected.gradient(features, targets, rows)
        for column in 0..<3 { expected.weights[column] -= 0.05 * gradient.weights[column] }
        expected.bias -= 0.05 * gradient.bias
      }
      let outcome = try training.train(round: round, from: weights)
      weights = outcome.weights
      #expect(outcome.steps == 3)
      #expect(abs(outcome.rateSum - 0.15) < 1e-15)
      expectEqual(weights[0], expected)
    }
    // 14 of 17 rows are trained on, by fours: the first four steps are one pass, in which no row comes twice.
    #expect(Set(seen.prefix(14)).count == 14)
  }

  @Test func `A round can be repeated, whichever was trained before it`() throws {
    let (training, start) = try trainer(try SmallFederation(strength: "none"), site: 1)
    let first = try training.train(round: 1, from: [start]).weights
    _ = try training.train(round: 0, from: [start])
    #expect(try training.train(round: 1, from: [start]).weights == first)
  }

  @Test func `The proximal term pulls every step towards the round's model`() throws {
    let federation = try SmallFederation(strength: "none")
    let (training, start) = try trainer(federation, site: 0)
    let (features, targets) = federation.values(of: 0)
    let origin = model(start)
    var expected = origin
    for step in 0..<3 {
      let gradient = expected.gradient(features, targets, try training.rows(ofStep: step))
      for column in 0..<3 {
        expected.weights[column] -=
          0.05 * (gradient.weights[column] + 0.7 * (expected.weights[column] - origin.weights[column]))
      }
      expected.bias -= 0.05 * (gradient.bias + 0.7 * (expected.bias - origin.bias))
    }
    let outcome = try training.train(
      round: 0, from: [start], adding: ProximalTerm(strength: 0.7, origin: [start]))
    expectEqual(outcome.weights[0], expected)
  }

  @Test func `Control variates shift every gradient by their difference`() throws {
    let federation = try SmallFederation(strength: "none")
    let (training, start) = try trainer(federation, site: 0)
    let (features, targets) = federation.values(of: 0)
    let shift = [0.3, -0.2, 0.1, 0.05]
    var expected = model(start)
    for step in 0..<3 {
      let gradient = expected.gradient(features, targets, try training.rows(ofStep: step))
      for column in 0..<3 { expected.weights[column] -= 0.05 * (gradient.weights[column] + shift[column]) }
      expected.bias -= 0.05 * (gradient.bias + shift[3])
    }
    let difference = Tensor(shift + Array(repeating: 0, count: start.count - 4), shape: start.shape)
    let outcome = try training.train(
      round: 0, from: [start], adding: ControlVariates(difference: [difference]))
    expectEqual(outcome.weights[0], expected)
  }

  @Test func `An evaluation is of the validation rows alone`() throws {
    let federation = try SmallFederation(strength: "none")
    let (training, start) = try trainer(federation, site: 0)
    let (features, targets) = federation.values(of: 0)
    let linear = model(start)
    let score = try #require(try training.evaluate([start]))
    let held = training.prepared.split.validation
    #expect(score.rows == 3 && held.count == 3)
    let errors = held.map { row -> Double in
      let output = zip(linear.weights, features[row]).reduce(linear.bias) { $0 + $1.0 * $1.1 }
      return (output - targets[row]) * (output - targets[row])
    }
    #expect(abs(score.lossSum - errors.reduce(0, +)) < 1e-13)
    #expect(abs((score.metrics["rmse"] ?? 0) - (errors.reduce(0, +) / 3).squareRoot()) < 1e-13)
  }
}
