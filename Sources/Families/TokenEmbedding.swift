package import Numerics

/// The part of a transformer that the owner keeps: what turns token ids into vectors.
///
/// BERT: LayerNorm(word + type + position) (Devlin et al., 2019, section 3); Llama: the word vector alone; ELECTRA: as BERT in fewer
/// coordinates, then a linear layer. Below, e is the width of the tables and d that of the vectors; e = d without such a layer.
package struct TokenEmbedding<Element: FloatingElement>: Sendable {
  package struct Norm: Sendable {
    /// [e] each.
    package let gain: Tensor<Element>
    package let shift: Tensor<Element>
    package let epsilon: Double

    package init(gain: Tensor<Element>, shift: Tensor<Element>, epsilon: Double) {
      self.gain = gain
      self.shift = shift
      self.epsilon = epsilon
    }
  }

  /// The linear layer after the norm: W x + b.
  package struct Projection: Sendable {
    /// [d, e], [d].
    package let weight: Tensor<Element>
    package let bias: Tensor<Element>

    package init(weight: Tensor<Element>, bias: Tensor<Element>) {
      self.weight = weight
      self.bias = bias
    }
  }

  /// [vocabulary, e].
  package let words: Tensor<Element>
  /// [positions, e], [types, e]; nil where the family has none.
  package let positions: Tensor<Element>?
  package let types: Tensor<Element>?
  package let norm: Norm?
  package let projection: Projection?

  package init(
    words: Tensor<Element>, positions: Tensor<Element>?, types: Tensor<Element>?, norm: Norm?,
    projection: Projection? = nil
  ) {
    self.words = words
    self.positions = positions
    self.types = types
    self.norm = norm
    self.projection = projection
  }

  /// d.
  package var width: Int { projection?.weight.rows ?? words.columns }

  /// The vectors of `tokens`, [n, d]. Ids, positions and types were checked against the tables when the data was read; one outside
  /// its table would end the process, not read beyond it.
  package func vectors(_ tokens: [Token], workers: Workers) -> Tensor<Element> {
    var result = Tensor<Element>(uninitialized: [tokens.count, width])
    result.withUnsafeMutableBufferPointer { output in
      // Safe to share: every piece writes rows of its own.
      nonisolated(unsafe) let output = output
      let rowsPerPiece = 256
      workers.perform(pieces: (tokens.count + rowsPerPiece - 1) / rowsPerPiece) { piece in
        let range = piece * rowsPerPiece..<min(tokens.count, (piece + 1) * rowsPerPiece)
        fill(
          UnsafeMutableBufferPointer(rebasing: output[range.lowerBound * width..<range.upperBound * width]),
          tokens[range])
      }
    }
    return result
  }

  @specialized(where Element == Float)
  private func fill(_ output: UnsafeMutableBufferPointer<Element>, _ tokens: ArraySlice<Token>) {
    let width = width
    var narrow = [Element](repeating: 0, count: projection == nil ? 0 : words.columns)
    for (row, token) in tokens.enumerated() {
      let vector = UnsafeMutableBufferPointer(rebasing: output[row * width..<(row + 1) * width])
      guard let projection else {
        sum(token, into: vector)
        continue
      }
      narrow.withUnsafeMutableBufferPointer { narrow in
        sum(token, into: narrow)
        project(UnsafeBufferPointer(narrow), by: projection, into: vector)
      }
    }
  }

  /// What the tables and the norm make of a token, [e].
  @inline(__always)
  private func sum(_ token: Token, into vector: UnsafeMutableBufferPointer<Element>) {
    copy(words, row: token.id, into: vector)
    if let types { add(types, row: token.type, to: vector) }
    if let positions { add(positions, row: token.position, to: vector) }
    if let norm { normalize(vector, norm) }
  }

  @inline(__always)
  private func project(
    _ input: UnsafeBufferPointer<Element>, by projection: Projection, into output: UnsafeMutableBufferPointer<Element>
  ) {
    projection.weight.withUnsafeBufferPointer { weight in
      projection.bias.withUnsafeBufferPointer { bias in
        for row in output.indices {
          var sum: Element = 0
          for column in input.indices { sum += weight[row * input.count + column] * input[column] }
          output[row] = sum + bias[row]
        }
      }
    }
  }

  @inline(__always)
  private func copy(_ table: Tensor<Element>, row: Int32, into vector: UnsafeMutableBufferPointer<Element>) {
    table.withUnsafeBufferPointer { entries in
      let source = entries[Int(row) * vector.count..<(Int(row) + 1) * vector.count]
      _ = vector.update(fromContentsOf: source)
    }
  }

  @inline(__always)
  private func add(_ table: Tensor<Element>, row: Int32, to vector: UnsafeMutableBufferPointer<Element>) {
    table.withUnsafeBufferPointer { entries in
      let source = UnsafeBufferPointer(rebasing: entries[Int(row) * vector.count..<(Int(row) + 1) * vector.count])
      for column in 0..<vector.count { vector[column] += source[column] }
    }
  }

  @inline(__always)
  private func normalize(_ vector: UnsafeMutableBufferPointer<Element>, _ norm: Norm) {
    var sum = 0.0
    for value in vector { sum += Double(value) }
    let mean = sum / Double(vector.count)
    var squares = 0.0
    for value in vector {
      let difference = Double(value) - mean
      squares += difference * difference
    }
    let scale = 1 / (squares / Double(vector.count) + norm.epsilon).squareRoot()
    norm.gain.withUnsafeBufferPointer { gain in
      norm.shift.withUnsafeBufferPointer { shift in
        for column in 0..<vector.count {
          vector[column] = Element((Double(vector[column]) - mean) * scale) * gain[column] + shift[column]
        }
      }
    }
  }
}

/// One token of a sample, padding left out.
package struct Token: Sendable, Equatable {
  package let id: Int32
  /// The row of the table of positions that the embedding adds: the token's column in the file, unless the family counts otherwise.
  package let position: Int32
  /// Segment: 0 unless the data names others.
  package let type: Int32
  /// Its class for tasks that label tokens; negative where it does not count.
  package let label: Int32
  /// Where it stands in its row of the file; outputs of single tokens go there.
  package let column: Int32

  /// - Parameter column: nil where it is the position.
  package init(id: Int32, position: Int32, type: Int32 = 0, label: Int32 = -1, column: Int32? = nil) {
    self.id = id
    self.position = position
    self.type = type
    self.label = label
    self.column = column ?? position
  }
}
