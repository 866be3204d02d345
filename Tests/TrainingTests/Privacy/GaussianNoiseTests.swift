import Cryptography
import Foundation
import Models
import Numerics
import Testing

@testable import Training

/// A secret whose bytes are known.
func fixedSecret(_ first: UInt8 = 0) -> SecretBuffer {
  (0..<32).map { first &+ UInt8($0) }.withUnsafeBytes { SecretBuffer(copying: $0) }
}

@Suite struct GaussianNoiseTests {
  private func noise(
    _ count: Int, secret: UInt8 = 0, context: String = "job", label: String = "step 3/parameter 1",
    deviation: Double = 1, threads: Int = 1
  ) -> [Double] {
    var values = [Double](repeating: 0, count: count)
    values.withUnsafeMutableBufferPointer {
      NoiseSource(secret: fixedSecret(secret), context: context).add(
        deviation: deviation, label: label, to: $0, workers: Workers(threads: threads))
    }
    return values
  }

  /// HKDF, ChaCha20 and Box–Muller written out in Python; the C library's logarithm and cosine may differ in their last bits.
  @Test func `Numbers of a fixed secret never change`() {
    let values = noise(4100)
    let expected = [
      (0, -2.3654872366271094), (1, -0.14277189654154415), (2, 0.21979174431584242), (4095, 0.7534426544481152),
      (4096, -0.5050447024927629), (4097, -0.9245017864551998),
    ]
    for (index, number) in expected { #expect(abs(values[index] - number) < 1e-14) }
  }

  /// Moments 1 … 4 of a standard normal are 0, 1, 0, 3, and the variances of their means over n draws 1/n, 2/n, 15/n and 96/n;
  /// five standard deviations. The lag-one product has mean 0 and variance 1/n.
  @Test func `Numbers have the moments of the normal distribution`() {
    let values = noise(20_001, deviation: 3).map { $0 / 3 }
    let count = Double(values.count)
    func mean(_ transform: (Double) -> Double) -> Double { values.reduce(0) { $0 + transform($1) } / count }
    let limit = 5 / count.squareRoot()
    #expect(abs(mean { $0 }) < limit)
    #expect(abs(mean { $0 * $0 } - 1) < limit * 2.0.squareRoot())
    #expect(abs(mean { $0 * $0 * $0 }) < limit * 15.0.squareRoot())
    #expect(abs(mean { $0 * $0 * $0 * $0 } - 3) < limit * 96.0.squareRoot())
    #expect(abs(zip(values, values.dropFirst()).reduce(0) { $0 + $1.0 * $1.1 } / count) < limit)
  }

  /// Kolmogorov and Smirnov: P(sup |F_n − F| > t) ≤ 2 exp(−2nt²) (Massart, 1990), 1e-6 at √(ln(2·10⁶)/2n). The secret is fixed.
  @Test func `Numbers have the normal distribution function`() {
    let values = noise(20_000).sorted()
    let count = Double(values.count)
    var largest = 0.0
    for (index, value) in values.enumerated() {
      let share = 0.5 * erfc(-value / 2.0.squareRoot())
      largest = max(largest, abs(share - Double(index) / count), abs(share - Double(index + 1) / count))
    }
    #expect(largest < (log(2e6) / (2 * count)).squareRoot())
    // And not too near: points laid out evenly would have 1/2n.
    #expect(largest > 1 / count)
  }

  @Test func `Bits depend on the secret and the label alone, not on threads`() {
    let values = noise(10_000)
    #expect(noise(10_000, threads: 3) == values)
    #expect(Array(noise(12_000).prefix(8192)) == Array(values.prefix(8192)))
    let others = [
      noise(8, secret: 1), noise(8, context: "other"), noise(8, label: "step 4/parameter 1"),
      noise(8, label: "step 3/parameter 2"),
    ]
    for other in others { #expect(zip(other, values).allSatisfy { $0 != $1 }) }
  }

  @Test func `Without deviation nothing is added`() {
    #expect(noise(100, deviation: 0) == [Double](repeating: 0, count: 100))
  }

  /// The gradient of a step without rows is the noise, σC/B on each entry; two corrections add up.
  @Test func `A step without rows moves by its own noise, and again the same when it is repeated`() throws {
    let graph = try ModelGraph.perceptron(
      input: HomogeneousColumns(features: 3, padding: 1), hidden: [2], activation: .relu, outputs: 1)
    let clipping = try SampleClipping(clipNorm: 2, expectedBatch: 8)
    let parameters = Model(graph).structure.parameters.map { Tensor<Double>(zeros: $0.shape) }
    let engine = try TrainingEngine(
      model: graph,
      optimizer: OptimizerDescription(
        kind: .sgd, learningRate: 1, momentum: 0, nesterov: false, weightDecay: 0, clipNorm: nil),
      schedule: ScheduleDescription(warmup: 0, decay: .none), totalSteps: 10, batchRows: 4,
      sampleClipping: clipping, compute: Compute(threads: 1), parameters: parameters)
    let shift = ControlVariates<Double>(difference: parameters.map { Tensor(repeating: 0.5, shape: $0.shape) })
    let correction = CombinedCorrection<Double>([
      GaussianNoise(
        NoiseSource(secret: fixedSecret(), context: "job"), noiseMultiplier: 1.5, clipping: clipping,
        workers: Workers(threads: 1)), shift,
    ])
    for _ in 0..<2 {
      engine.step = 3
      try engine.setParameters(parameters)
      try engine.beginBatch(rows: 0)
      _ = try engine.finishStep(correction: correction)
      for (number, found) in engine.parameters.enumerated() {
        let expected = noise(found.count, label: "step 3/parameter \(number)", deviation: 1.5 * 2 / 8)
        for index in 0..<found.count { #expect(abs(-found[index] - (expected[index] + 0.5)) < 1e-15) }
      }
    }
  }
}

@Suite struct PoissonSamplingTests {
  private func sampling(_ rows: Int, _ expectedBatch: Int, secret: UInt8 = 0) throws -> PoissonSampling {
    try PoissonSampling(
      secret: fixedSecret(secret), context: "job", rows: rows, expectedBatch: expectedBatch)
  }

  /// HKDF, ChaCha20 and the comparison written out in Python.
  @Test func `Batches of a fixed secret never change`() throws {
    let sampling = try sampling(40, 8)
    #expect(try sampling.batch(step: 0) == [3, 11, 22, 23, 24, 26, 28, 35, 37])
    #expect(try sampling.batch(step: 1) == [6, 16, 20, 22, 23, 38, 39])
    #expect(try sampling.batch(step: 0) == [3, 11, 22, 23, 24, 26, 28, 35, 37])
    #expect(try self.sampling(40, 8, secret: 1).batch(step: 0) != [3, 11, 22, 23, 24, 26, 28, 35, 37])
  }

  /// N = 500, B = 50, 400 steps: every row's count and every batch's size is binomial. Their squared deviations in units of the variance add up
  /// to about as many as there are, with a variance of 2 each; five standard deviations.
  @Test func `Rows are drawn independently, each with the same probability`() throws {
    let (rows, steps) = (500, 400)
    let sampling = try sampling(rows, 50)
    var counts = [Double](repeating: 0, count: rows)
    var sizes: [Double] = []
    for step in 0..<steps {
      let batch = try sampling.batch(step: step)
      #expect(batch == batch.sorted() && Set(batch).count == batch.count)
      #expect(batch.allSatisfy { (0..<Int32(rows)).contains($0) })
      for row in batch { counts[Int(row)] += 1 }
      sizes.append(Double(batch.count))
    }
    let q = sampling.rate
    #expect(q == 0.1)
    for (values, trials) in [(counts, Double(steps)), (sizes, Double(rows))] {
      let statistic = values.reduce(0) { $0 + ($1 - q * trials) * ($1 - q * trials) / (trials * q * (1 - q)) }
      let freedom = Double(values.count)
      #expect(abs(statistic - freedom) < 5 * (2 * freedom).squareRoot())
    }
    let total = counts.reduce(0, +)
    let trials = Double(rows * steps)
    #expect(abs(total - q * trials) < 5 * (trials * q * (1 - q)).squareRoot())
  }

  @Test func `A batch as large as the rows is all of them`() throws {
    let sampling = try sampling(9, 9)
    #expect(sampling.capacity == 9 && sampling.rate == 1)
    #expect(try sampling.batch(step: 5) == Array(0..<9))
  }

  /// P(X > k) of the binomial distribution, in logarithms because its terms are far below what a number holds.
  private func tail(above k: Int, rows: Int, _ q: Double) -> Double {
    // Each term from the one before it, from (1 − q)ⁿ on.
    var (term, sum) = (Double(rows) * log1p(-q), 0.0)
    for j in stride(from: 1, through: rows, by: 1) {
      term += log(Double(rows - j + 1) / Double(j)) + log(q) - log1p(-q)
      if j > k { sum += exp(term) }
    }
    return sum
  }

  @Test(arguments: [(10, 1), (40, 8), (1000, 10), (1000, 500), (60_000, 256), (100, 99)])
  func `A batch beyond the capacity is as unlikely as stated, and little room is wasted`(
    _ rows: Int, _ expectedBatch: Int
  ) throws {
    let sampling = try sampling(rows, expectedBatch)
    #expect((expectedBatch...rows).contains(sampling.capacity))
    #expect(tail(above: sampling.capacity, rows: rows, sampling.rate) < 0x1p-64)
    // Chernoff's bound is off by a factor below 2⁸ here: with a tenth of the room less the bound does not hold.
    let less = expectedBatch + (sampling.capacity - expectedBatch) * 9 / 10
    #expect(tail(above: less, rows: rows, sampling.rate) > 0x1p-72 || sampling.capacity == rows)
  }

  @Test(arguments: [(10, 0), (10, -1), (10, 11), (0, 1)]) func `Batches that cannot be drawn are refused`(
    _ rows: Int, _ expectedBatch: Int
  ) {
    #expect(throws: TrainingError.self) { try sampling(rows, expectedBatch) }
  }
}
