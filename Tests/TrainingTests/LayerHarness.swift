import Models
import Numerics
import Testing

@testable import Training

/// What every layer must satisfy, checked on random inputs: gradients against finite differences, the same bits for any
/// number of threads, single precision close to double, and gradients that add to what is there or are left out.
///
/// The loss is Σ r ⊙ y with fixed weights r, so that ∂L/∂y = r.
struct LayerHarness {
  let layer: any Layer
  /// What each input and the output are, in the layer's order.
  let inputValues: [ModelValue]
  let outputValue: ModelValue
  /// Tokens, or samples of one row where there are no sequences.
  let rows: Int
  var sequences: SequenceLayout?

  init(layer: any Layer, inputs: [ModelValue], output: ModelValue, sequences: SequenceLayout) {
    self.layer = layer
    inputValues = inputs
    outputValue = output
    rows = sequences.tokens
    self.sequences = sequences
  }

  /// A layer whose samples are rows.
  init(layer: any Layer, inputWidths: [Int], outputWidth: Int, rows: Int) {
    self.layer = layer
    inputValues = inputWidths.map { ModelValue(space: SpaceID("in"), width: $0, domain: .tokens) }
    outputValue = ModelValue(space: SpaceID("out"), width: outputWidth, domain: .tokens)
    self.rows = rows
  }

  struct Gradients<Element: FloatingElement> {
    var output: [Element]
    var inputs: [[Element]]
    var parameters: [[Element]]
    var squares: Double
  }

  /// What is in the gradients before the backward pass, and which of them it leaves out.
  struct Setting {
    /// Above 0: inputs' gradients accumulate on it.
    var startingInputGradient = 0.0
    /// Above 0: parameters' gradients accumulate on it.
    var startingParameterGradient = 0.0
    var withoutInputs: Set<Int> = []
    var withoutParameters: Set<Int> = []
  }

  /// Numbers in −1 … 1 that do not repeat, from a multiplicative generator: the same on every machine.
  static func noise(_ count: Int, seed: UInt64) -> [Double] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Double(state >> 11) / Double(UInt64(1) << 52) - 1
    }
  }

  /// Samples of the given lengths; the pooled token of each is somewhere inside.
  static func layout(_ lengths: [Int]) -> SequenceLayout {
    var offsets = [0]
    for length in lengths { offsets.append(offsets[offsets.count - 1] + length) }
    return SequenceLayout(offsets: offsets, pooled: lengths.indices.map { offsets[$0] + lengths[$0] * 2 / 3 })
  }

  func rows(of value: ModelValue) -> Int {
    value.domain == .samples ? sequences?.samples ?? rows : rows
  }

  var inputs: [[Double]] {
    inputValues.enumerated().map { Self.noise(rows(of: $1) * $1.width, seed: UInt64(10 + $0)) }
  }

  var parameters: [[Double]] {
    layer.parameters.enumerated().map { Self.noise($1.shape.reduce(1, *), seed: UInt64(50 + $0)) }
  }

  var lossWeights: [Double] { Self.noise(rows(of: outputValue) * outputValue.width, seed: 99) }

  /// Forward and backward of the layer alone, activations kept in `Stored`.
  func run<Stored: ActivationElement>(
    _: Stored.Type, inputs: [[Double]], parameters: [[Double]], threads: Int, _ setting: Setting = Setting()
  ) -> Gradients<Stored.Accumulator> {
    run(Stored.self, inputs: inputs, parameters: parameters, compute: Compute(threads: threads), setting)
  }

  func run<Stored: ActivationElement>(
    _: Stored.Type, inputs: [[Double]], parameters: [[Double]], compute: Compute, _ setting: Setting = Setting()
  ) -> Gradients<Stored.Accumulator> {
    typealias Element = Stored.Accumulator
    let inputBuffers: [MatrixBuffer<Stored>] = zip(inputs, inputValues).map {
      Self.stored($0, rows: rows(of: $1), columns: $1.width)
    }
    let weights = zip(parameters, layer.parameters).map { values, specification in
      let (rows, columns) = specification.bufferShape
      return Self.buffer(values, rows: rows, columns: columns, Element.self)
    }
    // Whatever memory held before must not matter.
    func fresh(_ rows: Int, _ columns: Int, _ value: Double = .nan) -> MatrixBuffer<Stored> {
      Self.stored([Double](repeating: value, count: rows * columns), rows: rows, columns: columns)
    }
    let outputRows = rows(of: outputValue)
    let output = fresh(outputRows, outputValue.width)
    let kept = fresh(outputRows, layer.keptColumns)
    let statistics = Self.buffer(
      [Double](repeating: .nan, count: outputRows * layer.statisticsColumns), rows: outputRows,
      columns: layer.statisticsColumns, Element.self)
    layer.forward(
      ForwardPass(
        compute: compute, sequences: sequences, parameters: weights.map(\.view)[...],
        inputs: inputBuffers.map(\.view), output: output.view, kept: layer.keptColumns > 0 ? kept.view : nil,
        statistics: statistics.view))
    let outputs = withExtendedLifetime(output) { output.view.widened.elements }
    for number in layer.inputs.indices where !layer.valuesReadBackward.contains(layer.inputs[number]) {
      Self.fill(inputBuffers[number], .nan)
    }
    if !layer.valuesReadBackward.contains(layer.output) { Self.fill(output, .nan) }
    let outputGradient: MatrixBuffer<Stored> = Self.stored(lossWeights, rows: outputRows, columns: outputValue.width)
    let inputGradients = inputValues.map {
      fresh(rows(of: $0), $0.width, setting.startingInputGradient > 0 ? setting.startingInputGradient : .nan)
    }
    let parameterGradients = weights.map {
      Self.buffer(
        [Double](
          repeating: setting.startingParameterGradient > 0 ? setting.startingParameterGradient : .nan, count: $0.count),
        rows: $0.rows, columns: $0.columns, Element.self)
    }
    let squares = layer.backward(
      BackwardPass(
        compute: compute, sequences: sequences, parameters: weights.map(\.view)[...],
        inputs: inputBuffers.map(\.view), output: output.view, kept: layer.keptColumns > 0 ? kept.view : nil,
        statistics: statistics.view, outputGradient: outputGradient.view,
        inputGradients: inputGradients.enumerated().map { number, buffer in
          setting.withoutInputs.contains(number)
            ? nil : InputGradient(view: buffer.view, accumulates: setting.startingInputGradient > 0)
        },
        parameterGradients: parameterGradients.enumerated().map { number, buffer in
          setting.withoutParameters.contains(number)
            ? nil : ParameterGradient(view: buffer.view, accumulates: setting.startingParameterGradient > 0)
        }[...]))
    return Gradients(
      output: outputs,
      inputs: inputGradients.map { buffer in withExtendedLifetime(buffer) { buffer.view.widened.elements } },
      parameters: parameterGradients.map { Array($0.elements) }, squares: squares)
  }

  /// The layer's output without anything kept, as in inference.
  func infer(threads: Int) -> [Double] {
    let inputBuffers = zip(inputs, inputValues).map {
      Self.buffer($0, rows: rows(of: $1), columns: $1.width, Double.self)
    }
    let weights = zip(parameters, layer.parameters).map { values, specification in
      let (rows, columns) = specification.bufferShape
      return Self.buffer(values, rows: rows, columns: columns, Double.self)
    }
    let output = MatrixBuffer<Double>(rows: rows(of: outputValue), columns: outputValue.width)
    layer.forward(
      ForwardPass(
        compute: Compute(threads: threads), sequences: sequences, parameters: weights.map(\.view)[...],
        inputs: inputBuffers.map(\.view), output: output.view, kept: nil))
    return Array(output.elements)
  }

  func loss(inputs: [[Double]], parameters: [[Double]]) -> Double {
    let output = run(Double.self, inputs: inputs, parameters: parameters, threads: 1).output
    return zip(output, lossWeights).reduce(0) { $0 + $1.0 * $1.1 }
  }

  private static func buffer<Element: FloatingElement>(
    _ values: [Double], rows: Int, columns: Int, _: Element.Type
  ) -> MatrixBuffer<Element> {
    let buffer = MatrixBuffer<Element>(rows: rows, columns: columns)
    for (index, value) in values.enumerated() { buffer.elements[index] = Element(value) }
    return buffer
  }

  private static func stored<Stored: ActivationElement>(
    _ values: [Double], rows: Int, columns: Int
  ) -> MatrixBuffer<Stored> {
    let numbers = Self.buffer(values, rows: rows, columns: columns, Stored.Accumulator.self)
    let buffer = MatrixBuffer<Stored>(rows: rows, columns: columns)
    withExtendedLifetime(numbers) { buffer.view.round(numbers.view) }
    return buffer
  }

  private static func fill<Stored: ActivationElement>(_ buffer: MatrixBuffer<Stored>, _ value: Double) {
    let values: MatrixBuffer<Stored> = stored(
      [Double](repeating: value, count: buffer.count), rows: buffer.rows, columns: buffer.columns)
    _ = buffer.elements.update(fromContentsOf: values.elements)
  }
}
