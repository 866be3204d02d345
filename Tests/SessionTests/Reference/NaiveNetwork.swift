import Foundation
import Models

/// A multi-layer perceptron in plain loops over single rows: the definition, not an implementation of the product's.
struct NaiveNetwork {
  let widths: [Int]
  let activation: Activation
  /// Whether layer 0 is an adapter: a linear layer without activation.
  let hasAdapter: Bool
  /// Layer 0 as [W | b] (what Muon takes for one matrix), then W and b of each further layer.
  var parameters: [NaiveParameter]

  init(widths: [Int], activation: Activation, hasAdapter: Bool = false, weights: [[Double]], biases: [[Double]]) {
    self.widths = widths
    self.hasAdapter = hasAdapter
    self.activation = activation
    parameters = []
    for layer in weights.indices {
      let (inputs, outputs) = (widths[layer], widths[layer + 1])
      if layer == 0 {
        var joined = NaiveParameter("0", rows: outputs, columns: inputs + 1)
        for row in 0..<outputs {
          for column in 0..<inputs { joined[row, column] = weights[0][row * inputs + column] }
          joined[row, inputs] = biases[0][row]
        }
        parameters.append(joined)
      } else {
        var weight = NaiveParameter("\(layer).weight", rows: outputs, columns: inputs)
        weight.values = weights[layer]
        var bias = NaiveParameter("\(layer).bias", rows: outputs, columns: 1, isVector: true)
        bias.values = biases[layer]
        parameters += [weight, bias]
      }
    }
  }

  var layers: Int { widths.count - 1 }

  /// PyTorch's name of a layer.
  func name(_ layer: Int) -> String { Self.name(layer, hasAdapter: hasAdapter) }

  static func name(_ layer: Int, hasAdapter: Bool) -> String {
    hasAdapter ? layer == 0 ? "adapter" : "layers.\(layer - 1)" : "layers.\(layer)"
  }

  func weight(_ layer: Int, _ row: Int, _ column: Int) -> Double {
    layer == 0 ? parameters[0][row, column] : parameters[2 * layer - 1][row, column]
  }

  func bias(_ layer: Int, _ row: Int) -> Double {
    layer == 0 ? parameters[0][row, widths[0]] : parameters[2 * layer][row, 0]
  }

  /// What each layer gives before its activation, the last being the outputs.
  func forward(_ input: [Double]) -> [[Double]] {
    var sums: [[Double]] = []
    var present = input
    for layer in 0..<layers {
      let sum = (0..<widths[layer + 1]).map { row in
        present.indices.reduce(bias(layer, row)) { $0 + weight(layer, row, $1) * present[$1] }
      }
      sums.append(sum)
      present = sum.map { activate($0, after: layer) }
    }
    return sums
  }

  /// Adds the gradient of one row to `gradients`, laid out as `parameters`.
  func backward(_ input: [Double], sums: [[Double]], outputGradient: [Double], into gradients: inout [NaiveParameter]) {
    var gradient = outputGradient
    for layer in (0..<layers).reversed() {
      let entering = layer == 0 ? input : sums[layer - 1].map { activate($0, after: layer - 1) }
      for row in gradient.indices {
        for column in entering.indices {
          let part = gradient[row] * entering[column]
          if layer == 0 { gradients[0][row, column] += part } else { gradients[2 * layer - 1][row, column] += part }
        }
        if layer == 0 {
          gradients[0][row, widths[0]] += gradient[row]
        } else {
          gradients[2 * layer][row, 0] += gradient[row]
        }
      }
      guard layer > 0 else { return }
      gradient = entering.indices.map { column in
        gradient.indices.reduce(0) { $0 + weight(layer, $1, column) * gradient[$1] }
          * slope(sums[layer - 1][column], after: layer - 1)
      }
    }
  }

  private func activate(_ x: Double, after layer: Int) -> Double {
    if hasAdapter && layer == 0 { return x }
    return switch activation {
    case .relu: max(0, x)
    case .gelu, .geluTanh: x * 0.5 * (1 + erf(x / 2.0.squareRoot()))
    case .silu: x / (1 + exp(-x))
    case .tanh: tanh(x)
    }
  }

  private func slope(_ x: Double, after layer: Int) -> Double {
    if hasAdapter && layer == 0 { return 1 }
    switch activation {
    case .relu: return x > 0 ? 1 : 0
    case .gelu, .geluTanh:
      return 0.5 * (1 + erf(x / 2.0.squareRoot())) + x * exp(-x * x / 2) / (2 * Double.pi).squareRoot()
    case .silu:
      let share = 1 / (1 + exp(-x))
      return share * (1 + x * (1 - share))
    case .tanh: return 1 - tanh(x) * tanh(x)
    }
  }
}

/// One tensor of the reference, row-major; a vector has one column.
struct NaiveParameter {
  let name: String
  let rows: Int
  let columns: Int
  let isVector: Bool
  var values: [Double]

  init(_ name: String, rows: Int, columns: Int, isVector: Bool = false) {
    self.name = name
    self.rows = rows
    self.columns = columns
    self.isVector = isVector
    values = Array(repeating: 0, count: rows * columns)
  }

  subscript(row: Int, column: Int) -> Double {
    get { values[row * columns + column] }
    set { values[row * columns + column] = newValue }
  }
}
