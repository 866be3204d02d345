import Architecture
import Tensors
import Testing

@testable import Training

/// What every layer must satisfy, checked on random inputs: gradients against finite differences, the same bits for any
/// number of threads, and single precision close to double.
///
/// The loss is Σ r ⊙ y with fixed weights r, so that ∂L/∂y = r.
struct LayerHarness {
  let layer: any Layer
  /// Width of each input and of the output, in the layer's order.
  let inputWidths: [Int]
  let outputWidth: Int
  let rows: Int

  struct Gradients<Element: FloatingElement> {
    var output: [Element]
    var inputs: [[Element]]
    var parameters: [[Element]]
    var squares: Double
  }

  /// Numbers in −1 … 1 that do not repeat, from a multiplicative generator: the same on every machine.
  static func noise(_ count: Int, seed: UInt64) -> [Double] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Double(state >> 11) / Double(UInt64(1) << 52) - 1
    }
  }

  var inputs: [[Double]] {
    inputWidths.enumerated().map { Self.noise(rows * $1, seed: UInt64(10 + $0)) }
  }

  var parameters: [[Double]] {
    layer.parameters.enumerated().map { Self.noise($1.shape.reduce(1, *), seed: UInt64(50 + $0)) }
  }

  var lossWeights: [Double] { Self.noise(rows * outputWidth, seed: 99) }

  /// Forward and backward of the layer alone.
  func run<Element: FloatingElement>(
    _: Element.Type, inputs: [[Double]], parameters: [[Double]], threads: Int, startingInputGradient: Double = 0
  ) -> Gradients<Element> {
    let workers = Workers(threads: threads)
    let inputBuffers = zip(inputs, inputWidths).map { Self.buffer($0, rows: rows, columns: $1, Element.self) }
    let weights = zip(parameters, layer.parameters).map { values, specification in
      let (rows, columns) = specification.bufferShape
      return Self.buffer(values, rows: rows, columns: columns, Element.self)
    }
    let output = MatrixBuffer<Element>(rows: rows, columns: outputWidth)
    let kept = MatrixBuffer<Element>(rows: rows, columns: layer.keptColumns)
    layer.forward(
      ForwardPass(
        workers: workers, parameters: weights.map(\.view)[...], inputs: inputBuffers.map(\.view), output: output.view,
        kept: layer.keptColumns > 0 ? kept.view : nil))
    let outputs = Array(output.elements)
    let outputGradient = Self.buffer(lossWeights, rows: rows, columns: outputWidth, Element.self)
    let inputGradients = inputWidths.map { MatrixBuffer<Element>(rows: rows, columns: $0) }
    for buffer in inputGradients { buffer.elements.update(repeating: Element(startingInputGradient)) }
    let parameterGradients = weights.map { MatrixBuffer<Element>(rows: $0.rows, columns: $0.columns) }
    let squares = layer.backward(
      BackwardPass(
        workers: workers, parameters: weights.map(\.view)[...], inputs: inputBuffers.map(\.view), output: output.view,
        kept: layer.keptColumns > 0 ? kept.view : nil, outputGradient: outputGradient.view,
        inputGradients: inputGradients.map { InputGradient(view: $0.view, accumulates: startingInputGradient != 0) },
        parameterGradients: parameterGradients.map(\.view)[...]))
    return Gradients(
      output: outputs, inputs: inputGradients.map { Array($0.elements) },
      parameters: parameterGradients.map { Array($0.elements) }, squares: squares)
  }

  func loss(inputs: [[Double]], parameters: [[Double]]) -> Double {
    let output = run(Double.self, inputs: inputs, parameters: parameters, threads: 1).output
    return zip(output, lossWeights).reduce(0) { $0 + $1.0 * $1.1 }
  }

  // MARK: - Checks

  /// Central differences with h = 1e-5: the third derivative costs h² ≈ 1e-10, rounding ε·L/h ≈ 2e-16·10/1e-5 = 2e-10, so
  /// 1e-8 of the largest entry leaves a factor of ten. Every seventh entry is checked.
  func checkFiniteDifferences() {
    let (inputs, parameters) = (inputs, parameters)
    let gradients = run(Double.self, inputs: inputs, parameters: parameters, threads: 2)
    func check(_ analytic: [Double], _ name: String, _ moved: (Int, Double) -> Double) {
      let scale = analytic.map(abs).max() ?? 0
      #expect(scale > 0, "\(name): a gradient that is 0 everywhere shows nothing")
      for index in stride(from: 0, to: analytic.count, by: 7) {
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
    let gradients = run(Double.self, inputs: inputs, parameters: parameters, threads: 2)
    let expected = gradients.parameters.joined().reduce(0) { $0 + $1 * $1 }
    // Two orders of adding n ≤ 1e5 positive terms differ by less than n·ε ≈ 2e-11 of the sum, on average √n·ε.
    #expect(abs(gradients.squares - expected) <= 1e-12 * expected)
  }

  func checkThreadCounts() {
    let reference = run(Float.self, inputs: inputs, parameters: parameters, threads: 1)
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

  /// A value with several readers: the second adds to what the first has written.
  func checkAccumulation() {
    let alone = run(Double.self, inputs: inputs, parameters: parameters, threads: 1)
    let added = run(Double.self, inputs: inputs, parameters: parameters, threads: 1, startingInputGradient: 3)
    for (a, b) in zip(alone.inputs, added.inputs) {
      // One more rounded addition of numbers below 100.
      #expect(zip(a, b).allSatisfy { abs($0 + 3 - $1) < 1e-12 })
    }
  }

  private static func buffer<Element: FloatingElement>(
    _ values: [Double], rows: Int, columns: Int, _: Element.Type
  ) -> MatrixBuffer<Element> {
    let buffer = MatrixBuffer<Element>(rows: rows, columns: columns)
    for (index, value) in values.enumerated() { buffer.elements[index] = Element(value) }
    return buffer
  }
}
