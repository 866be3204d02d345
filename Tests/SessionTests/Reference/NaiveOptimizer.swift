import Models
import Foundation

/// The update rules as docs/job-reference.md defines them, element by element.
struct NaiveOptimizer {
  let description: OptimizerDescription
  private var first: [[Double]]
  private var second: [[Double]]
  private var step = 0

  init(_ description: OptimizerDescription, parameters: [NaiveParameter]) {
    self.description = description
    first = parameters.map { Array(repeating: 0, count: $0.values.count) }
    second = first
  }

  /// Clips the gradients together, then updates each parameter.
  mutating func update(_ parameters: inout [NaiveParameter], gradients: [NaiveParameter], rate: Double) {
    let norm = gradients.reduce(0) { $1.values.reduce($0) { $0 + $1 * $1 } }.squareRoot()
    let clip = description.clipNorm.map { min(1, $0 / (norm + 1e-6)) } ?? 1
    for index in parameters.indices {
      let gradient = gradients[index].values.map { $0 * clip }
      switch description.kind {
      case .sgd: sgd(&parameters[index], index, gradient, rate)
      case .adamw: adamw(&parameters[index], index, gradient, rate)
      case .muon: muon(&parameters[index], index, gradient, rate)
      }
    }
    step += 1
  }

  private mutating func sgd(_ parameter: inout NaiveParameter, _ index: Int, _ gradient: [Double], _ rate: Double) {
    for element in gradient.indices {
      let decayed = gradient[element] + description.weightDecay * parameter.values[element]
      first[index][element] = description.momentum * first[index][element] + decayed
      let direction =
        description.nesterov ? decayed + description.momentum * first[index][element] : first[index][element]
      parameter.values[element] -= rate * direction
    }
  }

  private mutating func adamw(_ parameter: inout NaiveParameter, _ index: Int, _ gradient: [Double], _ rate: Double) {
    let count = Double(step + 1)
    for element in gradient.indices {
      parameter.values[element] *= 1 - rate * description.weightDecay
      first[index][element] = 0.9 * first[index][element] + 0.1 * gradient[element]
      second[index][element] = 0.999 * second[index][element] + 0.001 * gradient[element] * gradient[element]
      let mean = first[index][element] / (1 - pow(0.9, count))
      let square = second[index][element] / (1 - pow(0.999, count))
      parameter.values[element] -= rate * mean / (square.squareRoot() + 1e-8)
    }
  }

  private mutating func muon(_ parameter: inout NaiveParameter, _ index: Int, _ gradient: [Double], _ rate: Double) {
    var direction = gradient
    for element in gradient.indices {
      first[index][element] = description.momentum * first[index][element] + gradient[element]
      direction[element] += description.momentum * first[index][element]
    }
    var scale = 1.0
    if !parameter.isVector {
      direction = Self.orthogonalized(direction, rows: parameter.rows, columns: parameter.columns)
      scale = 0.2 * Double(max(parameter.rows, parameter.columns)).squareRoot()
    }
    for element in direction.indices {
      parameter.values[element] -=
        rate * (scale * direction[element] + description.weightDecay * parameter.values[element])
    }
  }

  private static func orthogonalized(_ values: [Double], rows: Int, columns: Int) -> [Double] {
    let norm = values.reduce(0) { $0 + $1 * $1 }.squareRoot() + 1e-7
    let scaled = values.map { $0 / norm }
    guard rows <= columns else {
      return transposed(
        orthogonalSteps(transposed(scaled, rows, columns), rows: columns, columns: rows), columns, rows)
    }
    return orthogonalSteps(scaled, rows: rows, columns: columns)
  }

  private static func orthogonalSteps(_ start: [Double], rows: Int, columns: Int) -> [Double] {
    var x = start
    for _ in 0..<5 {
      let gram = product(x, transposed(x, rows, columns), rows, columns, rows)
      let square = product(gram, gram, rows, rows, rows)
      let polynomial = gram.indices.map { -4.7750 * gram[$0] + 2.0315 * square[$0] }
      let turned = product(polynomial, x, rows, rows, columns)
      x = x.indices.map { 3.4445 * x[$0] + turned[$0] }
    }
    return x
  }

  private static func transposed(_ values: [Double], _ rows: Int, _ columns: Int) -> [Double] {
    (0..<(rows * columns)).map { values[$0 % rows * columns + $0 / rows] }
  }

  private static func product(_ a: [Double], _ b: [Double], _ rows: Int, _ inner: Int, _ columns: Int) -> [Double] {
    var result = Array(repeating: 0.0, count: rows * columns)
    for row in 0..<rows {
      for column in 0..<columns {
        for k in 0..<inner { result[row * columns + column] += a[row * inner + k] * b[k * columns + column] }
      }
    }
    return result
  }
}
