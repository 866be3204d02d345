import Foundation

/// Reverse-mode differentiation of textbook matrix operations, one at a time, each with its backward rule written out. Knows
/// nothing of keys. Checked against finite differences in `TransformerEquivarianceTests`.
final class GradientTape {
  final class Node {
    let value: NaiveMatrix
    fileprivate(set) var gradient: NaiveMatrix
    fileprivate let back: (NaiveMatrix) -> Void

    fileprivate init(_ value: NaiveMatrix, _ back: @escaping (NaiveMatrix) -> Void) {
      self.value = value
      self.back = back
      gradient = NaiveMatrix(rows: value.rows, columns: value.columns) { _, _ in 0 }
    }

    fileprivate func add(_ part: NaiveMatrix) {
      for index in part.elements.indices { gradient.elements[index] += part.elements[index] }
    }
  }

  private var nodes: [Node] = []

  private func record(_ value: NaiveMatrix, _ back: @escaping (NaiveMatrix) -> Void = { _ in }) -> Node {
    let node = Node(value, back)
    nodes.append(node)
    return node
  }

  /// Leaves ∂⟨direction, result⟩ of each node in its `gradient`.
  func differentiate(_ result: Node, along direction: NaiveMatrix) {
    result.add(direction)
    for node in nodes.reversed() { node.back(node.gradient) }
  }

  func leaf(_ value: NaiveMatrix) -> Node { record(value) }

  /// a b
  func product(_ a: Node, _ b: Node) -> Node {
    record(a.value * b.value) { gradient in
      a.add(gradient * b.value.transposed)
      b.add(a.value.transposed * gradient)
    }
  }

  func transposed(_ a: Node) -> Node {
    record(a.value.transposed) { a.add($0.transposed) }
  }

  /// x Wᵀ + b, b a matrix of one column.
  func linear(_ x: Node, _ weight: Node, _ bias: Node? = nil) -> Node {
    let product = product(x, transposed(weight))
    return bias.map { shifted(product, $0) } ?? product
  }

  /// One entry of `shift`, a matrix of one column, added to each column.
  func shifted(_ a: Node, _ shift: Node) -> Node {
    record(a.value.combined { $0 + shift.value[$2, 0] }) { gradient in
      a.add(gradient)
      shift.add(
        NaiveMatrix(rows: gradient.columns, columns: 1) { column, _ in
          (0..<gradient.rows).reduce(0) { $0 + gradient[$1, column] }
        })
    }
  }

  func sum(_ a: Node, _ b: Node) -> Node {
    record(a.value.combined { $0 + b.value[$1, $2] }) { gradient in
      a.add(gradient)
      b.add(gradient)
    }
  }

  /// a ⊙ b
  func gated(_ a: Node, _ b: Node) -> Node {
    record(a.value.combined { $0 * b.value[$1, $2] }) { gradient in
      a.add(gradient.combined { $0 * b.value[$1, $2] })
      b.add(gradient.combined { $0 * a.value[$1, $2] })
    }
  }

  func scaled(_ a: Node, _ factor: Double) -> Node {
    record(a.value.map { factor * $0 }) { a.add($0.map { factor * $0 }) }
  }

  /// Each column times one entry of `gain`, a matrix of one column.
  func gained(_ a: Node, _ gain: Node) -> Node {
    record(a.value.combined { $0 * gain.value[$2, 0] }) { gradient in
      a.add(gradient.combined { $0 * gain.value[$2, 0] })
      gain.add(
        NaiveMatrix(rows: gradient.columns, columns: 1) { column, _ in
          (0..<gradient.rows).reduce(0) { $0 + gradient[$1, column] * a.value[$1, column] }
        })
    }
  }

  func applied(_ a: Node, _ value: (Double) -> Double, slope: @escaping (Double) -> Double) -> Node {
    record(a.value.map(value)) { gradient in a.add(gradient.combined { $0 * slope(a.value[$1, $2]) }) }
  }

  func columns(_ a: Node, _ range: Range<Int>) -> Node {
    record(NaiveMatrix(rows: a.value.rows, columns: range.count) { a.value[$0, range.lowerBound + $1] }) { gradient in
      a.add(
        NaiveMatrix(rows: a.value.rows, columns: a.value.columns) {
          range.contains($1) ? gradient[$0, $1 - range.lowerBound] : 0
        })
    }
  }

  /// Side by side, all of one size.
  func joined(_ parts: [Node]) -> Node {
    let width = parts[0].value.columns
    let whole = NaiveMatrix(rows: parts[0].value.rows, columns: width * parts.count) {
      parts[$1 / width].value[$0, $1 % width]
    }
    return record(whole) { gradient in
      for (index, part) in parts.enumerated() {
        part.add(NaiveMatrix(rows: gradient.rows, columns: width) { gradient[$0, index * width + $1] })
      }
    }
  }

  func row(_ a: Node, _ row: Int) -> Node {
    record(NaiveMatrix(rows: 1, columns: a.value.columns) { a.value[row, $1] }) { gradient in
      a.add(NaiveMatrix(rows: a.value.rows, columns: a.value.columns) { $0 == row ? gradient[0, $1] : 0 })
    }
  }

  /// Softmax of each row; when causal, of its first entries up to the diagonal, the others 0.
  func softmax(_ a: Node, isCausal: Bool) -> Node {
    let exponentials = a.value.combined { isCausal && $2 > $1 ? 0 : exp($0) }
    let sums = (0..<a.value.rows).map { row in
      (0..<a.value.columns).reduce(0) { $0 + exponentials[row, $1] }
    }
    let shares = exponentials.combined { share, row, _ in share / sums[row] }
    return record(shares) { gradient in
      a.add(
        shares.combined { share, row, column in
          let mean = (0..<shares.columns).reduce(0) { $0 + shares[row, $1] * gradient[row, $1] }
          return share * (gradient[row, column] - mean)
        })
    }
  }

  /// (x − mean) / √(variance + ε) of each row; without the mean when not centred (RMSNorm).
  func normalized(_ a: Node, isCentred: Bool, epsilon: Double = 1e-5) -> Node {
    let count = Double(a.value.columns)
    func mean(_ row: Int, _ term: (Int) -> Double) -> Double {
      (0..<a.value.columns).reduce(0) { $0 + term($1) } / count
    }
    let centres = (0..<a.value.rows).map { row in isCentred ? mean(row) { a.value[row, $0] } : 0 }
    let scales = (0..<a.value.rows).map { row in
      1 / (mean(row) { (a.value[row, $0] - centres[row]) * (a.value[row, $0] - centres[row]) } + epsilon).squareRoot()
    }
    let result = a.value.combined { value, row, _ in (value - centres[row]) * scales[row] }
    return record(result) { gradient in
      a.add(
        gradient.combined { value, row, column in
          let along = mean(row) { gradient[row, $0] * result[row, $0] }
          let centre = isCentred ? mean(row) { gradient[row, $0] } : 0
          return scales[row] * (value - centre - result[row, column] * along)
        })
    }
  }

  /// Turns coordinates (i, i + width/2) of row p by p · frequencies[i].
  func turnedByPosition(_ a: Node, _ frequencies: [Double]) -> Node {
    record(turn(a.value, frequencies, 1)) { a.add(self.turn($0, frequencies, -1)) }
  }

  private func turn(_ matrix: NaiveMatrix, _ frequencies: [Double], _ sense: Double) -> NaiveMatrix {
    let planes = frequencies.count
    return matrix.combined { value, row, column in
      let plane = column % planes
      let angle = sense * Double(row) * frequencies[plane]
      return column < planes
        ? cos(angle) * value - sin(angle) * matrix[row, plane + planes]
        : cos(angle) * value + sin(angle) * matrix[row, plane]
    }
  }
}
