import Foundation
import Models

/// Forward and backward of a perceptron, written out: parameters as the model structure lists them, the first weight on
/// homogeneous rows.
struct NaiveMLP {
  let activation: Activation
  /// weight, then (from the second layer on) bias, layer by layer; a bias is a matrix of one column.
  var parameters: [NaiveMatrix]

  private var layerCount: Int { (parameters.count + 1) / 2 }

  private func weight(_ layer: Int) -> NaiveMatrix { parameters[max(0, 2 * layer - 1)] }
  private func bias(_ layer: Int) -> NaiveMatrix? { layer == 0 ? nil : parameters[2 * layer] }

  /// What each layer reads, and what it gives before the activation.
  private func layers(_ rows: NaiveMatrix) -> [(read: NaiveMatrix, given: NaiveMatrix)] {
    var read = rows
    return (0..<layerCount).map { layer in
      var given = read * weight(layer).transposed
      if let bias = bias(layer) {
        for row in 0..<given.rows {
          for column in 0..<given.columns { given[row, column] += bias[column, 0] }
        }
      }
      defer { read = given.map { activation.value($0) } }
      return (read, given)
    }
  }

  func outputs(_ rows: NaiveMatrix) -> NaiveMatrix {
    layers(rows)[layerCount - 1].given
  }

  /// Gradients in the order of `parameters`.
  func gradients(_ rows: NaiveMatrix, outputGradient: NaiveMatrix) -> [NaiveMatrix] {
    let layers = layers(rows)
    var gradients: [NaiveMatrix] = []
    var arriving = outputGradient
    for layer in (0..<layerCount).reversed() {
      if layer > 0 {
        gradients.insert(
          NaiveMatrix(rows: arriving.columns, columns: 1) { output, _ in
            (0..<arriving.rows).reduce(0) { $0 + arriving[$1, output] }
          }, at: 0)
      }
      gradients.insert(arriving.transposed * layers[layer].read, at: 0)
      guard layer > 0 else { break }
      let before = layers[layer - 1].given
      let back = arriving * weight(layer)
      arriving = NaiveMatrix(rows: back.rows, columns: back.columns) {
        back[$0, $1] * activation.slope(before[$0, $1])
      }
    }
    return gradients
  }
}

/// The functions as their definitions have them, and their derivatives.
extension Activation {
  func value(_ x: Double) -> Double {
    switch self {
    case .relu: max(0, x)
    case .gelu: x * (1 + erf(x / 2.0.squareRoot())) / 2
    case .geluTanh: x / 2 * (1 + Foundation.tanh(geluArgument(x)))
    case .silu: x / (1 + exp(-x))
    case .tanh: Foundation.tanh(x)
    }
  }

  func slope(_ x: Double) -> Double {
    switch self {
    case .relu: return x > 0 ? 1 : 0
    case .gelu: return (1 + erf(x / 2.0.squareRoot())) / 2 + x * exp(-x * x / 2) / (2 * Double.pi).squareRoot()
    case .geluTanh:
      let t = Foundation.tanh(geluArgument(x))
      return (1 + t) / 2 + x / 2 * (1 - t * t) * (2 / Double.pi).squareRoot() * (1 + 3 * 0.044715 * x * x)
    case .silu:
      let sigmoid = 1 / (1 + exp(-x))
      return sigmoid * (1 + x * (1 - sigmoid))
    case .tanh: return 1 - Foundation.tanh(x) * Foundation.tanh(x)
    }
  }

  private func geluArgument(_ x: Double) -> Double {
    (2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)
  }
}
