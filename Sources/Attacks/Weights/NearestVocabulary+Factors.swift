import Tensors

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
    var scale = tile.times(places, otherTransposed: true, workers: workers)
    var square = weighted.times(places, otherTransposed: true, workers: workers)
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
