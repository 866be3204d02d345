import Architecture
import Tensors

/// Memory for the gradients of a batch, and the backward pass through it.
struct GradientBuffers<Element: FloatingElement> {
  private let model: Model
  private let parameterRanges: [Range<Int>]
  /// One for each value; nil for the input, whose gradient nobody needs.
  private let values: [MatrixBuffer<Element>?]
  let parameters: [MatrixBuffer<Element>]

  init(_ model: Model, rows: Int) {
    self.model = model
    parameterRanges = model.parameterRanges
    values = model.values.enumerated().map { index, value in
      index == 0 ? nil : MatrixBuffer(rows: rows, columns: value.width)
    }
    parameters = model.structure.parameters.map { parameter in
      let (rows, columns) = parameter.bufferShape
      return MatrixBuffer(rows: rows, columns: columns)
    }
  }

  /// The model's output gradient.
  func output(rows: Range<Int>) -> MatrixView<Element>? {
    values[model.outputValue]?.view.rows(rows)
  }

  /// From the output's gradient to every parameter's, over rows `0..<rows`; returns the sum of squares over all of them.
  func backward(
    rows: Int, activations: ActivationBuffers<Element>, weights: [MatrixView<Element>], workers: Workers
  ) -> Double {
    let batch = 0..<rows
    let gradients = parameters.map {
      ParameterGradient(view: $0.view, accumulates: false) as ParameterGradient<Element>?
    }
    // A value's gradient is complete once all its readers, which come later in the list, have run.
    var written = Set<Int>()
    var layerSquares: [Double] = []
    for (index, layer) in model.layers.enumerated().reversed() {
      guard let outputGradient = values[layer.output]?.view.rows(batch) else { continue }
      let inputGradients = layer.inputs.map { number in
        values[number].map {
          InputGradient(view: $0.view.rows(batch), accumulates: !written.insert(number).inserted)
        }
      }
      layerSquares.append(
        layer.backward(
          BackwardPass(
            workers: workers, sequences: nil, parameters: weights[parameterRanges[index]],
            inputs: layer.inputs.map { activations.value($0, rows: batch) },
            output: activations.value(layer.output, rows: batch), kept: activations.kept(index, rows: batch),
            outputGradient: outputGradient, inputGradients: inputGradients,
            parameterGradients: gradients[parameterRanges[index]])))
    }
    return layerSquares.reduce(0, +)
  }

  /// Elements of the gradients of values over `rows` rows; nil when the count overflows.
  static func elementCount(_ model: Model, rows: Int) -> Int? {
    Shape.sum(model.values.dropFirst().map { Shape.elementCount([rows, $0.width]) })
  }
}
