import Numerics

/// For unmasked rows the token whose embedded vector is nearest: of an encoder over all words, positions and types, of a decoder over all words.
///
/// An encoder's vector is x = γ ∘ √d (w̄ + p̄)/|w̄ + p̄| + β, with w̄ and p̄ the word's vector and the position's with its type's, without their
/// means (its norm's epsilon is left out). With y = γ ∘ (x − β), r = √d/|w̄ + p̄| and q = |γ ∘ (w̄ + p̄)|², least squares over the vocabulary is the
/// largest 2 r (y·w̄ + y·p̄) − r² q: three products of matrices and a maximum.
struct NearestVocabulary: Sendable {
  /// Nearest tokens, −1 where no word was compared before the deadline.
  struct Match: Sendable {
    let tokens: [Int32]
    /// Minus the sum of squared distances, up to a constant of the rows: the larger, the nearer.
    let score: Double
    /// Whether every word was compared; else the score is no measure of another match.
    let isComplete: Bool
  }

  private let words: Tensor<Float>
  /// `[positions · types, d]`, centred; nil for a decoder.
  let places: Tensor<Float>?
  /// |p̄|² and |γ ∘ p̄|² of each place.
  let placeSquares: (own: [Float], weighted: [Float])
  let gain: [Float]
  private let shift: [Float]
  let isCentred: Bool
  let compute: Compute

  /// Words compared at a time, and rows that a worker takes.
  private static let wordsPerTile = 128
  private static let rowsPerPiece = 32

  /// - Parameter positions: of the longest sample; later ones are not searched.
  init(_ vocabulary: TokenVocabulary, positions: Int, compute: Compute) {
    words = vocabulary.words
    self.compute = compute
    let width = vocabulary.words.columns
    gain = vocabulary.gain?.elements ?? [Float](repeating: 1, count: width)
    shift = vocabulary.shift?.elements ?? [Float](repeating: 0, count: width)
    isCentred = vocabulary.gain != nil
    guard vocabulary.gain != nil || vocabulary.positions != nil || vocabulary.types != nil else {
      places = nil
      placeSquares = ([], [])
      return
    }
    let steps = min(positions, vocabulary.positions?.rows ?? 1)
    // A sentence and its pair; checkpoints with more types do not use them.
    let kinds = min(2, vocabulary.types?.rows ?? 1)
    var places = Tensor<Float>(zeros: [max(1, steps) * kinds, width])
    for kind in 0..<kinds {
      for step in 0..<max(1, steps) {
        for column in 0..<width {
          let position = vocabulary.positions.map { $0[step, column] } ?? 0
          let type = vocabulary.types.map { $0[kind, column] } ?? 0
          places[kind * max(1, steps) + step, column] = position + type
        }
      }
    }
    let centred = isCentred ? Self.centred(places) : places
    self.places = centred
    placeSquares = (Self.squares(centred, weights: nil), Self.squares(centred, weights: gain))
  }

  /// - Parameter rows: plain or nearly so, `[n, d]`.
  func match(_ rows: Tensor<Float>, until deadline: Deadline) -> Match {
    let width = words.columns
    var queries = rows
    queries.withUnsafeMutableBufferPointer { entries in
      for index in entries.indices { entries[index] = (entries[index] - shift[index % width]) * gain[index % width] }
    }
    let alongPlaces = places.map { queries.times($0, otherTransposed: true, compute: compute) }
    var best = [Float](repeating: -.infinity, count: rows.rows)
    var tokens = [Int32](repeating: -1, count: rows.rows)
    var isComplete = true
    for start in stride(from: 0, to: words.rows, by: Self.wordsPerTile) {
      if deadline.hasPassed {
        isComplete = false
        break
      }
      let slice = words.slice(rows: start..<min(words.rows, start + Self.wordsPerTile))
      let tile = isCentred ? Self.centred(slice) : slice
      let alongWords = queries.times(tile, otherTransposed: true, compute: compute)
      let factors = factors(tile)
      best.withUnsafeMutableBufferPointer { best in
        tokens.withUnsafeMutableBufferPointer { tokens in
          // Safe to share: every piece writes the entries of its own rows.
          nonisolated(unsafe) let (best, tokens) = (best, tokens)
          let count = rows.rows
          compute.workers.perform(pieces: (count + Self.rowsPerPiece - 1) / Self.rowsPerPiece) { piece in
            for row in piece * Self.rowsPerPiece..<min(count, (piece + 1) * Self.rowsPerPiece) {
              for word in 0..<tile.rows {
                let value = Self.largest(row, word, alongWords, alongPlaces, factors)
                if value > best[row] { (best[row], tokens[row]) = (value, Int32(start + word)) }
              }
            }
          }
        }
      }
    }
    return Match(tokens: tokens, score: best.reduce(0) { $0 + Double(max($1, -1e30)) }, isComplete: isComplete)
  }

  /// Over all places of a word.
  @inline(__always)
  private static func largest(
    _ row: Int, _ word: Int, _ alongWords: Tensor<Float>, _ alongPlaces: Tensor<Float>?, _ factors: Factors
  ) -> Float {
    let along = alongWords[row, word]
    guard let alongPlaces else { return factors.scale[word, 0] * along - factors.square[word, 0] }
    let count = alongPlaces.columns
    return alongPlaces.withUnsafeBufferPointer { places in
      factors.scale.withUnsafeBufferPointer { scale in
        factors.square.withUnsafeBufferPointer { square in
          guard let placeBase = places.baseAddress, let scaleBase = scale.baseAddress,
            let squareBase = square.baseAddress
          else { return -.infinity }
          var best = SIMD8<Float>(repeating: -.infinity)
          let (a, b) = (row * count, word * count)
          var column = 0
          while column + 8 <= count {
            let place = UnsafeRawPointer(placeBase + a + column).loadUnaligned(as: SIMD8<Float>.self)
            let factor = UnsafeRawPointer(scaleBase + b + column).loadUnaligned(as: SIMD8<Float>.self)
            let constant = UnsafeRawPointer(squareBase + b + column).loadUnaligned(as: SIMD8<Float>.self)
            let value = factor * (place + along) - constant
            best.replace(with: value, where: value .> best)
            column += 8
          }
          var largest = best.max()
          while column < count {
            largest = max(largest, scale[b + column] * (places[a + column] + along) - square[b + column])
            column += 1
          }
          return largest
        }
      }
    }
  }

  /// Each row without its mean.
  private static func centred(_ matrix: Tensor<Float>) -> Tensor<Float> {
    var result = matrix
    let width = matrix.columns
    result.withUnsafeMutableBufferPointer { entries in
      for start in stride(from: 0, to: entries.count, by: max(1, width)) {
        var mean: Float = 0
        for column in 0..<width { mean += entries[start + column] }
        mean /= Float(width)
        for column in 0..<width { entries[start + column] -= mean }
      }
    }
    return result
  }
}

extension NearestVocabulary {
  /// 2 r and r² q of words with places, `[words, places]`; of words alone one column.
  struct Factors: Sendable {
    let scale: Tensor<Float>
    let square: Tensor<Float>
  }

  func factors(_ tile: Tensor<Float>) -> Factors {
    let width = tile.columns
    let ownWeighted = Self.squares(tile, weights: gain)
    guard let places else {
      return Factors(
        scale: Tensor(repeating: 2, shape: [tile.rows, 1]), square: Tensor(ownWeighted, shape: [tile.rows, 1]))
    }
    let own = Self.squares(tile, weights: nil)
    let (other, otherWeighted) = placeSquares
    var weighted = tile
    weighted.withUnsafeMutableBufferPointer { entries in
      for index in entries.indices { entries[index] *= gain[index % width] * gain[index % width] }
    }
    var scale = tile.times(places, otherTransposed: true, compute: compute)
    var square = weighted.times(places, otherTransposed: true, compute: compute)
    let count = places.rows
    scale.withUnsafeMutableBufferPointer { scale in
      square.withUnsafeMutableBufferPointer { square in
        for row in own.indices {
          for column in 0..<count {
            let index = row * count + column
            let length = max(own[row] + other[column] + 2 * scale[index], .leastNormalMagnitude)
            let ratio = isCentred ? Float(width) / length : 1
            square[index] = ratio * (ownWeighted[row] + otherWeighted[column] + 2 * square[index])
            scale[index] = 2 * ratio.squareRoot()
          }
        }
      }
    }
    return Factors(scale: scale, square: square)
  }

  /// |row|² of each row, its entries times `weights` where there are any.
  static func squares(_ matrix: Tensor<Float>, weights: [Float]?) -> [Float] {
    let width = matrix.columns
    return matrix.withUnsafeBufferPointer { entries in
      (0..<matrix.rows).map { row in
        var sum: Float = 0
        for column in 0..<width {
          let entry = entries[row * width + column] * (weights?[column] ?? 1)
          sum += entry * entry
        }
        return sum
      }
    }
  }
}
