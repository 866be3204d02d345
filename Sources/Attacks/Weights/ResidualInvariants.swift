import Tensors

/// What the keys of all other spaces leave unchanged in the weights that touch one space: vectors v' = K v and matrices M' = K M Kᵀ.
///
/// The matrices are centred (their mean diagonal entry taken off) and all are of length 1, masked and base each by itself. What is zero
/// or not finite on either side says nothing and is left out.
struct ResidualInvariants: Sendable {
  struct Vector: Sendable {
    let masked: [Double]
    let base: [Double]
  }

  struct Matrix: Sendable {
    let masked: Tensor<Double>
    let base: Tensor<Double>
    let isSymmetric: Bool
  }

  let width: Int
  let vectors: [Vector]
  /// The diagonals of the products, of all of them: K moves their entries where it is a permutation.
  let diagonals: [Vector]
  private(set) var matrices: [Matrix]

  /// - Parameters:
  ///   - memory: bytes that the matrices may take; the earliest come first.
  ///   - most: matrices at most.
  ///   - deadline: after it no further products are made.
  init(
    _ legs: ResidualLegs, masked: [Tensor<Float>], base: [Tensor<Float>], memory: Int, most: Int, workers: Workers,
    until deadline: Deadline
  ) {
    let width = legs.width
    let limit = min(most, max(4, memory / max(1, 2 * 8 * width * width)))
    var (vectors, diagonals, matrices): ([Vector], [Vector], [Matrix]) = ([], [], [])
    func add(_ mine: [Double], _ theirs: [Double], to list: inout [Vector], scaled: Bool) {
      let (a, b) = (Self.length(mine), Self.length(theirs))
      guard a > 1e-30, b > 1e-30, a.isFinite, b.isFinite else { return }
      list.append(
        scaled ? Vector(masked: mine.map { $0 / a }, base: theirs.map { $0 / b }) : Vector(masked: mine, base: theirs))
    }
    for index in legs.vectors {
      add(masked[index].elements.map(Double.init), base[index].elements.map(Double.init), to: &vectors, scaled: true)
    }
    for bundle in legs.bundles {
      if deadline.hasPassed { break }
      let mine = bundle.legs.map { ResidualLegs.matrix($0, masked) }
      let theirs = bundle.legs.map { ResidualLegs.matrix($0, base) }
      for (first, second) in zip(mine, theirs) {
        for vector in bundle.vectors where masked[vector].count == first.rows {
          add(
            Self.product(first, masked[vector].elements.map(Double.init), workers),
            Self.product(second, base[vector].elements.map(Double.init), workers), to: &vectors, scaled: true)
        }
        if bundle.keepsOnes {
          let ones = [Double](repeating: 1, count: first.rows)
          add(Self.product(first, ones, workers), Self.product(second, ones, workers), to: &vectors, scaled: true)
        }
      }
      for left in mine.indices {
        for right in mine.indices where right >= left && mine[left].rows == mine[right].rows {
          add(
            Self.diagonal(mine[left], mine[right]), Self.diagonal(theirs[left], theirs[right]), to: &diagonals,
            scaled: false)
          guard matrices.count < limit else { continue }
          guard let first = Self.centred(mine[left].times(mine[right], transposed: true, workers: workers)),
            let second = Self.centred(theirs[left].times(theirs[right], transposed: true, workers: workers))
          else { continue }
          matrices.append(Matrix(masked: first, base: second, isSymmetric: left == right))
        }
      }
    }
    self.width = width
    self.vectors = vectors
    self.diagonals = diagonals
    self.matrices = matrices
  }

  private static func length(_ vector: [Double]) -> Double {
    vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
  }

  /// Lᵀ v.
  private static func product(_ leg: Tensor<Double>, _ vector: [Double], _ workers: Workers) -> [Double] {
    Tensor(vector, shape: [1, vector.count]).times(leg, workers: workers).elements
  }

  /// Of leftᵀ right.
  private static func diagonal(_ left: Tensor<Double>, _ right: Tensor<Double>) -> [Double] {
    let width = left.columns
    var result = [Double](repeating: 0, count: width)
    left.withUnsafeBufferPointer { left in
      right.withUnsafeBufferPointer { right in
        for start in stride(from: 0, to: left.count, by: max(1, width)) {
          for column in 0..<width { result[column] += left[start + column] * right[start + column] }
        }
      }
    }
    return result
  }

  /// Without its mean diagonal entry and of length 1; nil for a multiple of the identity, or what is not finite.
  private static func centred(_ matrix: Tensor<Double>) -> Tensor<Double>? {
    var result = matrix
    let width = matrix.rows
    let isUseful = result.withUnsafeMutableBufferPointer { entries in
      var before = 0.0
      for entry in entries { before += entry * entry }
      var trace = 0.0
      for index in 0..<width { trace += entries[index * width + index] }
      for index in 0..<width { entries[index * width + index] -= trace / Double(width) }
      var squares = 0.0
      for entry in entries { squares += entry * entry }
      guard squares.isFinite, squares > 1e-16 * before, squares > 1e-60 else { return false }
      let scale = 1 / squares.squareRoot()
      for index in entries.indices { entries[index] *= scale }
      return true
    }
    return isUseful ? result : nil
  }
}
