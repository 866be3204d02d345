import Models
import Synchronization
import Numerics

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

  func forward<Element: FloatingElement>(_ pass: ForwardPass<Element>) {
    record.note(name) { $0.forward += 1 }
    guard let weight = pass.parameters.first else { return }
    pass.compute.multiply(pass.inputs[0], weight, transposeB: true, into: pass.output)
    for index in 0..<pass.output.count {
      var value = Double(pass.output.base[index])
      if pass.inputs.count > 1 { value += Double(pass.inputs[1].base[index]) }
      if keptColumns > 0 { value = value / (1 + value * value).squareRoot() }
      pass.output.base[index] = Element(value)
      // f′ = (1 − y²)^1.5
      pass.kept?.base[index] = Element((1 - value * value) * (1 - value * value).squareRoot())
    }
  }

  func backward<Element: FloatingElement>(_ pass: BackwardPass<Element>) -> Double {
    record.note(name) {
      $0.backward += 1
      $0.inputGradients += pass.inputGradients.count { $0 != nil }
    }
    guard let weight = pass.parameters.first else { return 0 }
    let gradient = pass.outputGradient
    if let kept = pass.kept {
      for index in 0..<gradient.count { gradient.base[index] *= kept.base[index] }
    }
    if let input = pass.inputGradients[0] {
      pass.compute.multiply(gradient, weight, accumulates: input.accumulates, into: input.view)
    }
    if pass.inputs.count > 1, let residual = pass.inputGradients[1] {
      for index in 0..<gradient.count {
        residual.view.base[index] = gradient.base[index] + (residual.accumulates ? residual.view.base[index] : 0)
      }
    }
    guard let weightGradient = pass.parameterGradients.first ?? nil else { return 0 }
    let view = weightGradient.view
    pass.compute.multiply(
      gradient, transposeA: true, pass.inputs[0], accumulates: weightGradient.accumulates, into: view)
    return Element.sumOfSquares(view.count, view.base)
  }
}
