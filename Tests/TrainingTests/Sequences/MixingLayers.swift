import Models
import Numerics
import Synchronization

@testable import Training

/// A layer to test the engine with: y = f(x Wᵀ + r), f(z) = z/√(1+z²) or nothing, r another value or nothing.
///
/// It keeps f′, so that something is kept, and says what the engine asked of it.
struct MixLayer: Layer {
  /// What the engine asked of a layer.
  final class Record: Sendable {
    struct Entry: Equatable {
      var forward = 0
      var backward = 0
      var inputGradients = 0
    }

    private let entries = Mutex<[String: Entry]>([:])

    subscript(name: String) -> Entry { entries.withLock { $0[name] ?? Entry() } }

    func note(_ name: String, _ change: (inout Entry) -> Void) {
      entries.withLock { change(&$0[name, default: Entry()]) }
    }
  }

  let name: String
  let parameters: [ParameterSpecification]
  let constraints: [SpaceConstraint] = []
  let inputs: [Int]
  let output: Int
  let keptColumns: Int
  var valuesReadBackward: [Int] { [inputs[0]] }
  private let record: Record

  init(
    _ name: String, from input: Int, adding residual: Int? = nil, to output: Int, widths: (Int, Int), trained: Bool,
    bends: Bool = true, record: Record
  ) {
    self.name = name
    parameters = [
      ParameterSpecification(
        name: "\(name).weight", shape: [widths.1, widths.0], rows: SpaceID("r"), columns: SpaceID("c"),
        isTrained: trained)
    ]
    inputs = [input] + (residual.map { [$0] } ?? [])
    self.output = output
    keptColumns = bends ? widths.1 : 0
    self.record = record
  }

  func forward<Element: ActivationElement>(_ pass: ForwardPass<Element>) {
    record.note(name) { $0.forward += 1 }
    let inputs = pass.inputs.compactMap(Element.view)
    guard let weight = pass.parameters.first, let output = Element.view(pass.output) else { return }
    pass.compute.multiply(inputs[0], weight, transposeB: true, into: output)
    for index in 0..<output.count {
      var value = Double(output.base[index].widened)
      if inputs.count > 1 { value += Double(inputs[1].base[index].widened) }
      if keptColumns > 0 { value = value / (1 + value * value).squareRoot() }
      output.base[index] = .rounded(value)
      // f′ = (1 − y²)^1.5
      pass.kept?.base[index] = .rounded((1 - value * value) * (1 - value * value).squareRoot())
    }
  }

  func backward<Element: ActivationElement>(_ pass: BackwardPass<Element>) -> Double {
    record.note(name) {
      $0.backward += 1
      $0.inputGradients += pass.inputGradients.count { $0 != nil }
    }
    let targets = pass.inputGradients.map { $0.flatMap { Element.view($0.view) } }
    guard let weight = pass.parameters.first, let gradient = Element.view(pass.outputGradient) else { return 0 }
    if let kept = pass.kept {
      for index in 0..<gradient.count {
        gradient.base[index] = .rounded(gradient.base[index].widened * kept.base[index].widened)
      }
    }
    if let input = pass.inputGradients[0], let target = targets[0] {
      pass.compute.multiply(gradient, weight, accumulates: input.accumulates, into: target)
    }
    if pass.inputs.count > 1, let residual = pass.inputGradients[1], let target = targets[1] {
      for index in 0..<gradient.count {
        target.base[index] = .rounded(
          gradient.base[index].widened + (residual.accumulates ? target.base[index].widened : 0))
      }
    }
    guard let weightGradient = pass.parameterGradients.first ?? nil else { return 0 }
    let view = weightGradient.view
    pass.compute.multiply(
      pass.outputGradient, transposeA: true, pass.inputs[0], accumulates: weightGradient.accumulates, into: .full(view))
    return Element.Accumulator.sumOfSquares(view.count, view.base)
  }
}

/// From tokens to samples: the mean of a sample's tokens plus the pooled one.
struct MeanLayer: Layer {
  let name = "mean"
  let parameters: [ParameterSpecification] = []
  let constraints: [SpaceConstraint] = []
  let inputs: [Int]
  let output: Int
  let keptColumns = 0
  let valuesReadBackward: [Int] = []

  func forward<Element: ActivationElement>(_ pass: ForwardPass<Element>) {
    guard let sequences = pass.sequences, let input = Element.view(pass.inputs[0]),
      let output = Element.view(pass.output)
    else { return }
    for sample in 0..<sequences.samples {
      let tokens = sequences.range(ofSample: sample)
      for column in 0..<input.columns {
        var sum: Element.Accumulator = 0
        for token in tokens { sum += input.base[token * input.stride + column].widened }
        output.base[sample * output.stride + column] = .rounded(
          sum / Element.Accumulator(tokens.count)
            + input.base[sequences.pooled[sample] * input.stride + column].widened)
      }
    }
  }

  func backward<Element: ActivationElement>(_ pass: BackwardPass<Element>) -> Double {
    guard let sequences = pass.sequences, let target = pass.inputGradients[0], let view = Element.view(target.view),
      let outputGradient = Element.view(pass.outputGradient)
    else { return 0 }
    for sample in 0..<sequences.samples {
      let tokens = sequences.range(ofSample: sample)
      for token in tokens {
        for column in 0..<view.columns {
          let gradient = outputGradient.base[sample * outputGradient.stride + column].widened
          let place = view.base + token * view.stride + column
          let share = gradient / Element.Accumulator(tokens.count) + (token == sequences.pooled[sample] ? gradient : 0)
          place.pointee = .rounded(share + (target.accumulates ? place.pointee.widened : 0))
        }
      }
    }
    return 0
  }
}

extension ActivationElement {
  /// The nearest number of this format.
  static func rounded(_ number: some BinaryFloatingPoint) -> Self {
    var (number, result) = (Accumulator(number), 0 as Self)
    round(1, &number, into: &result)
    return result
  }
}
