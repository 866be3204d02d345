import Models
import Numerics

@testable import Training

/// Runs a whole model forward and backward, every value in memory of its own: what an engine does, without its care for memory.
struct ModelHarness<Element: FloatingElement> {
  let model: Model
  let sequences: SequenceLayout
  var threads = 2

  struct Result {
    let outputs: [Element]
    /// In the order of the parameters; nil for one that is not trained.
    let gradients: [[Element]?]
    let squares: Double
  }

  func rows(_ value: ModelValue) -> Int {
    value.domain == .tokens ? sequences.tokens : sequences.samples
  }

  /// - Parameter outputGradient: from the outputs to ∂L/∂outputs.
  func run(
    inputs: [Double], parameters: [[Element]], outputGradient: ([Element]) -> [Element]
  ) -> Result {
    let compute = Compute(threads: threads)
    let values = model.values.map { MatrixBuffer<Element>(rows: rows($0), columns: $0.width) }
    for (index, number) in inputs.enumerated() { values[0].elements[index] = Element(number) }
    let weights = zip(model.structure.parameters, parameters).map { parameter, numbers in
      let (rows, columns) = parameter.bufferShape
      let buffer = MatrixBuffer<Element>(rows: rows, columns: columns)
      _ = buffer.elements.update(fromContentsOf: numbers)
      return buffer
    }
    let kept = model.layers.map {
      MatrixBuffer<Element>(rows: rows(model.values[$0.output]), columns: $0.keptColumns)
    }
    let statistics = model.layers.map {
      MatrixBuffer<Element>(rows: rows(model.values[$0.output]), columns: $0.statisticsColumns)
    }
    let ranges = model.parameterRanges
    for (index, layer) in model.layers.enumerated() {
      layer.forward(
        ForwardPass<Element>(
          compute: compute, sequences: sequences, parameters: weights.map(\.view)[ranges[index]],
          inputs: layer.inputs.map { .full(values[$0].view) }, output: .full(values[layer.output].view),
          kept: kept[index].view, statistics: statistics[index].view))
    }
    let outputs = Array(values[model.outputValue].elements)
    let gradients = model.values.map { MatrixBuffer<Element>(rows: rows($0), columns: $0.width) }
    _ = gradients[model.outputValue].elements.update(fromContentsOf: outputGradient(outputs))
    let parameterGradients = zip(model.structure.parameters, weights).map { parameter, weight in
      parameter.isTrained ? MatrixBuffer<Element>(rows: weight.rows, columns: weight.columns) : nil
    }
    var written = Set<Int>()
    var squares = 0.0
    for (index, layer) in model.layers.enumerated().reversed() {
      squares += layer.backward(
        BackwardPass<Element>(
          compute: compute, sequences: sequences, parameters: weights.map(\.view)[ranges[index]],
          inputs: layer.inputs.map { .full(values[$0].view) }, output: .full(values[layer.output].view),
          kept: kept[index].view, statistics: statistics[index].view,
          outputGradient: .full(gradients[layer.output].view),
          inputGradients: layer.inputs.map { number in
            number == 0
              ? nil
              : InputGradient(view: .full(gradients[number].view), accumulates: !written.insert(number).inserted)
          },
          parameterGradients: parameterGradients.map { buffer in
            buffer.map { ParameterGradient(view: $0.view, accumulates: false) }
          }[ranges[index]]))
    }
    return Result(
      outputs: outputs, gradients: parameterGradients.map { $0.map { Array($0.elements) } }, squares: squares)
  }
}
