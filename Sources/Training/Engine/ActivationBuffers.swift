import Architecture
import Tensors

/// Memory for the values of a model over a number of rows, and the forward pass through it.
struct ActivationBuffers<Element: FloatingElement> {
  private let model: Model
  private let parameterRanges: [Range<Int>]
  /// One for each value of the model but the input where that is the caller's.
  private let values: [MatrixBuffer<Element>]
  /// One for each layer: what it keeps for its backward pass.
  private let kept: [MatrixBuffer<Element>?]

  /// - Parameters:
  ///   - rows: the most rows a pass may have.
  ///   - forTraining: whether backward passes follow; otherwise layers keep nothing and the input is the caller's memory.
  init(_ model: Model, rows: Int, forTraining: Bool) {
    self.model = model
    parameterRanges = model.parameterRanges
    values = model.values.enumerated().map { index, value in
      MatrixBuffer(rows: index == 0 && !forTraining ? 0 : rows, columns: value.width)
    }
    kept = model.layers.map { layer in
      layer.keptColumns > 0 && forTraining ? MatrixBuffer(rows: rows, columns: layer.keptColumns) : nil
    }
  }

  func value(_ index: Int, rows: Range<Int>) -> MatrixView<Element> {
    values[index].view.rows(rows)
  }

  func kept(_ layer: Int, rows: Range<Int>) -> MatrixView<Element>? {
    kept[layer]?.view.rows(rows)
  }

  /// Runs every layer on `rows`, from `input` (as many rows) if given and from value 0 otherwise; the output's rows.
  @discardableResult
  func forward(
    rows: Range<Int>, input: MatrixView<Element>? = nil, parameters: [MatrixView<Element>], workers: Workers
  ) -> MatrixView<Element> {
    for (index, layer) in model.layers.enumerated() {
      let inputs = layer.inputs.map { number in
        if number == 0, let input { return input }
        return value(number, rows: rows)
      }
      layer.forward(
        ForwardPass(
          workers: workers, sequences: nil, parameters: parameters[parameterRanges[index]], inputs: inputs,
          output: value(layer.output, rows: rows), kept: kept(index, rows: rows)))
    }
    return value(model.outputValue, rows: rows)
  }

  /// Elements that buffers of `rows` rows take; nil when the count overflows.
  static func elementCount(_ model: Model, rows: Int, forTraining: Bool) -> Int? {
    let widths =
      model.values.dropFirst(forTraining ? 0 : 1).map(\.width) + (forTraining ? model.layers.map(\.keptColumns) : [])
    return Shape.sum(widths.map { Shape.elementCount([rows, $0]) })
  }
}
