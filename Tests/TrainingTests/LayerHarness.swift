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
    /// Whether values that stay in the format of arithmetic if they can are so.
    var keepsFullValues = false
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
    let formats = ActivationFormats(
      values: (layer.inputs + [layer.output]).max().map { $0 + 1 } ?? 0, layer.formatRules)
    func isFull(_ value: Int) -> Bool { setting.keepsFullValues && formats.isFull[value] }
    let inputBuffers = zip(inputs, zip(inputValues, layer.inputs)).map {
      StoredBuffer<Stored>($0, rows: rows(of: $1.0), columns: $1.0.width, isFull: isFull($1.1))
    }
    let weights = zip(parameters, layer.parameters).map { values, specification in
      let (rows, columns) = specification.bufferShape
      return Self.buffer(values, rows: rows, columns: columns, Element.self)
    }
    // Whatever memory held before must not matter.
    func fresh(_ rows: Int, _ columns: Int, _ value: Double = .nan, isFull: Bool = false) -> StoredBuffer<Stored> {
      StoredBuffer([Double](repeating: value, count: rows * columns), rows: rows, columns: columns, isFull: isFull)
    }
    let outputRows = rows(of: outputValue)
    let output = fresh(outputRows, outputValue.width, isFull: isFull(layer.output))
    let kept = fresh(outputRows, layer.keptColumns)
    let statistics = Self.buffer(
      [Double](repeating: .nan, count: outputRows * layer.statisticsColumns), rows: outputRows,
      columns: layer.statisticsColumns, Element.self)
    layer.forward(
      ForwardPass(
        compute: compute, sequences: sequences, parameters: weights.map(\.view)[...],
        inputs: inputBuffers.map(\.matrix), output: output.matrix,
        kept: layer.keptColumns > 0 ? Stored.view(kept.matrix) : nil, statistics: statistics.view))
    let outputs = output.numbers
    for number in layer.inputs.indices where !layer.valuesReadBackward.contains(layer.inputs[number]) {
      inputBuffers[number].fill(.nan)
    }
    if !layer.valuesReadBackward.contains(layer.output) { output.fill(.nan) }
    let outputGradient = StoredBuffer<Stored>(
      lossWeights, rows: outputRows, columns: outputValue.width, isFull: isFull(layer.output))
    let inputGradients = zip(inputValues, layer.inputs).map {
      fresh(
        rows(of: $0), $0.width, setting.startingInputGradient > 0 ? setting.startingInputGradient : .nan,
        isFull: isFull($1))
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
        inputs: inputBuffers.map(\.matrix), output: output.matrix,
        kept: layer.keptColumns > 0 ? Stored.view(kept.matrix) : nil, statistics: statistics.view,
        outputGradient: outputGradient.matrix,
        inputGradients: inputGradients.enumerated().map { number, buffer in
          setting.withoutInputs.contains(number)
            ? nil : InputGradient(view: buffer.matrix, accumulates: setting.startingInputGradient > 0)
        },
        parameterGradients: parameterGradients.enumerated().map { number, buffer in
          setting.withoutParameters.contains(number)
            ? nil : ParameterGradient(view: buffer.view, accumulates: setting.startingParameterGradient > 0)
        }[...]))
    return Gradients(
      output: outputs,
      inputs: inputGradients.map(\.numbers),
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
      ForwardPass<Double>(
        compute: Compute(threads: threads), sequences: sequences, parameters: weights.map(\.view)[...],
        inputs: inputBuffers.map { .full($0.view) }, output: .full(output.view), kept: nil))
    return Array(output.elements)
  }

  func loss(inputs: [[Double]], parameters: [[Double]]) -> Double {
    let output = run(Double.self, inputs: inputs, parameters: parameters, threads: 1).output
    return zip(output, lossWeights).reduce(0) { $0 + $1.0 * $1.1 }
  }

  fileprivate static func buffer<Element: FloatingElement>(
    _ values: [Double], rows: Int, columns: Int, _: Element.Type
  ) -> MatrixBuffer<Element> {
    let buffer = MatrixBuffer<Element>(rows: rows, columns: columns)
    for (index, value) in values.enumerated() { buffer.elements[index] = Element(value) }
    return buffer
  }
}

/// A value in memory, in one of the formats it may be stored in.
private final class StoredBuffer<Stored: ActivationElement> {
  private let full: MatrixBuffer<Stored.Accumulator>
  private let narrow: MatrixBuffer<Stored>
  let matrix: StoredMatrix<Stored.Accumulator>

  init(_ values: [Double], rows: Int, columns: Int, isFull: Bool) {
    full = LayerHarness.buffer(values, rows: rows, columns: columns, Stored.Accumulator.self)
    narrow = MatrixBuffer(rows: rows, columns: columns)
    narrow.view.round(full.view)
    matrix = isFull ? .full(full.view) : Stored.stored(narrow.view)
  }

  var numbers: [Stored.Accumulator] { withExtendedLifetime(self) { matrix.widened.elements } }

  func fill(_ value: Double) {
    matrix.write(Tensor([Stored.Accumulator](repeating: .init(value), count: matrix.count), shape: [matrix.count]))
  }
}
