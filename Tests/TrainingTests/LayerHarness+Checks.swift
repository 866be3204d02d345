import Models
import Numerics
import Testing

@testable import Training

extension LayerHarness {
  /// Central differences with h = 1e-5: the third derivative costs h² ≈ 1e-10, rounding ε·L/h ≈ 2e-16·10/1e-5 = 2e-10, so
  /// 1e-8 of the largest entry leaves a factor of ten. Every `step`-th entry is checked.
  func checkFiniteDifferences(every step: Int = 7) {
    let (inputs, parameters) = (inputs, parameters)
    let gradients = run(Double.self, inputs: inputs, parameters: parameters, threads: 2)
    func check(_ analytic: [Double], _ name: String, _ moved: (Int, Double) -> Double) {
      let scale = analytic.map(abs).max() ?? 0
      #expect(scale > 0, "\(name): a gradient that is 0 everywhere shows nothing")
      for index in stride(from: 0, to: analytic.count, by: step) {
        let numeric = (moved(index, 1e-5) - moved(index, -1e-5)) / 2e-5
        #expect(abs(numeric - analytic[index]) <= 1e-8 * max(1, scale), "\(name)[\(index)]")
      }
    }
    for number in inputs.indices {
      check(gradients.inputs[number], "\(layer.name) input \(number)") { index, step in
        var moved = inputs
        moved[number][index] += step
        return loss(inputs: moved, parameters: parameters)
      }
    }
    for number in parameters.indices {
      check(gradients.parameters[number], layer.parameters[number].name) { index, step in
        var moved = parameters
        moved[number][index] += step
        return loss(inputs: inputs, parameters: moved)
      }
    }
  }

  func checkSumOfSquares() {
    for start in [0.0, 3] {
      let gradients = run(
        Double.self, inputs: inputs, parameters: parameters, threads: 2, Setting(startingParameterGradient: start))
      let expected = gradients.parameters.joined().reduce(0) { $0 + $1 * $1 }
      // Two orders of adding n ≤ 1e5 positive terms differ by less than n·ε ≈ 2e-11 of the sum, on average √n·ε.
      #expect(abs(gradients.squares - expected) <= 1e-12 * expected)
    }
  }

  func checkThreadCounts() {
    let reference = run(Float.self, inputs: inputs, parameters: parameters, threads: 1)
    #expect(reference.output.allSatisfy { $0.isFinite })
    for threads in [2, 3, 7] {
      let other = run(Float.self, inputs: inputs, parameters: parameters, threads: threads)
      #expect(other.output == reference.output, "\(threads) threads")
      #expect(other.inputs == reference.inputs, "\(threads) threads")
      #expect(other.parameters == reference.parameters, "\(threads) threads")
      #expect(other.squares == reference.squares, "\(threads) threads")
    }
  }

  /// A sum of n products of single-precision numbers is off by less than n·6e-8 of the sum of their magnitudes; with the
  /// inner sizes used here (below 400) and a function of slope at most 1.2 that is 3e-5 of the largest entry.
  func checkSinglePrecision() {
    let single = run(Float.self, inputs: inputs, parameters: parameters, threads: 2)
    let double = run(Double.self, inputs: inputs, parameters: parameters, threads: 2)
    func check(_ single: [Float], _ double: [Double], _ name: String) {
      let scale = double.map(abs).max() ?? 0
      #expect(zip(single, double).allSatisfy { abs(Double($0) - $1) <= 3e-5 * scale }, "\(name)")
    }
    check(single.output, double.output, "output")
    for (a, b) in zip(single.inputs, double.inputs) { check(a, b, "input gradient") }
    for (a, b) in zip(single.parameters, double.parameters) { check(a, b, "parameter gradient") }
  }

  /// A value with several readers, a batch of several parts: the second adds to what the first has written.
  func checkAccumulation() {
    let alone = run(Double.self, inputs: inputs, parameters: parameters, threads: 1)
    let added = run(
      Double.self, inputs: inputs, parameters: parameters, threads: 1,
      Setting(startingInputGradient: 3, startingParameterGradient: 5))
    for (a, b) in zip(alone.inputs, added.inputs) {
      // One more rounded addition of numbers below 100.
      #expect(zip(a, b).allSatisfy { abs($0 + 3 - $1) < 1e-12 })
    }
    for (a, b) in zip(alone.parameters, added.parameters) {
      #expect(zip(a, b).allSatisfy { abs($0 + 5 - $1) < 1e-12 })
    }
  }

  /// A gradient that nobody needs is not touched (memory held NaN), and the others are what they were, bit for bit.
  func checkLeavingOut() {
    let all = run(Double.self, inputs: inputs, parameters: parameters, threads: 2)
    for number in inputs.indices {
      let some = run(
        Double.self, inputs: inputs, parameters: parameters, threads: 2, Setting(withoutInputs: [number]))
      #expect(some.parameters == all.parameters && some.squares == all.squares)
      for other in inputs.indices {
        let isRight =
          other == number ? some.inputs[other].allSatisfy { $0.isNaN } : some.inputs[other] == all.inputs[other]
        #expect(isRight, "input \(other)")
      }
    }
    for number in parameters.indices {
      let some = run(
        Double.self, inputs: inputs, parameters: parameters, threads: 2, Setting(withoutParameters: [number]))
      #expect(some.inputs == all.inputs)
      for other in parameters.indices {
        let isRight =
          other == number
          ? some.parameters[other].allSatisfy { $0.isNaN } : some.parameters[other] == all.parameters[other]
        #expect(isRight, "\(layer.parameters[other].name)")
      }
      // The two sums are added in different orders: a few units.
      var squares = 0.0
      for other in parameters.indices where other != number {
        squares += some.parameters[other].reduce(0) { $0 + $1 * $1 }
      }
      #expect(abs(some.squares - squares) <= 1e-12 * max(1, squares))
    }
  }

  /// Inference computes the same, and everything the backward pass said it reads is all it reads: `run` overwrites the rest.
  func checkInference() {
    let trained = run(Double.self, inputs: inputs, parameters: parameters, threads: 2)
    #expect(infer(threads: 2) == trained.output)
    #expect(trained.inputs.joined().allSatisfy { $0.isFinite })
    #expect(trained.parameters.joined().allSatisfy { $0.isFinite })
  }

  /// The output against the definition as loops; `tolerance` of its largest entry.
  func checkOutput(_ expected: [Double], tolerance: Double) {
    let output = run(Double.self, inputs: inputs, parameters: parameters, threads: 2).output
    let scale = expected.map(abs).max() ?? 0
    #expect(output.count == expected.count)
    #expect(zip(output, expected).allSatisfy { abs($0 - $1) <= tolerance * scale })
  }

  /// Activations of 16 bits, products of numbers of 16 bits, beside double precision from the same rounded inputs.
  ///
  /// Between those and a result a number is rounded at most 8 times (weights, values inside, slopes, the result, and the same on the way back), by 2⁻⁹ of
  /// what it is then or less: in all by 2⁻⁶ of the largest terms. With the few and independent terms here a result's are at most twice its largest entry.
  func checkBFloat16() {
    let inputs = inputs.map { $0.map { Double(BFloat16(Float($0)).widened) } }
    for keepsFullValues in [false, true] { checkBFloat16(inputs, Setting(keepsFullValues: keepsFullValues)) }
  }

  private func checkBFloat16(_ inputs: [[Double]], _ setting: Setting) {
    let compute = Compute(workers: Workers(threads: 2), precision: .bfloat16)
    let narrow = run(BFloat16.self, inputs: inputs, parameters: parameters, compute: compute, setting)
    let double = run(Double.self, inputs: inputs, parameters: parameters, threads: 2)
    func check(_ narrow: [Float], _ double: [Double], _ name: String) {
      let scale = double.map(abs).max() ?? 0
      let difference = zip(narrow, double).map { abs(Double($0) - $1) }.max() ?? 0
      #expect(
        narrow.allSatisfy { $0.isFinite } && difference <= 0x1p-5 * scale,
        "\(layer.name) \(name): \(difference / scale)")
    }
    check(narrow.output, double.output, "output")
    for (a, b) in zip(narrow.inputs, double.inputs) { check(a, b, "input gradient") }
    for (a, b) in zip(narrow.parameters, double.parameters) { check(a, b, "parameter gradient") }
    let isFull = setting.keepsFullValues && layer.formatRules.contains(.full(layer.output))
    #expect(narrow.output.allSatisfy { BFloat16($0).widened == $0 } != isFull)
    for threads in [1, 3] {
      let other = run(
        BFloat16.self, inputs: inputs, parameters: parameters,
        compute: Compute(workers: Workers(threads: threads), precision: .bfloat16), setting)
      #expect(other.output == narrow.output && other.inputs == narrow.inputs && other.parameters == narrow.parameters)
    }
  }

  /// All checks that hold for any size.
  func checkAll() {
    checkFiniteDifferences()
    checkSumOfSquares()
    checkAccumulation()
    checkLeavingOut()
    checkInference()
    checkThreadCounts()
    checkBFloat16()
  }
}
