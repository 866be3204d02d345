import Models
import Numerics

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
  ///   - maxMatrices: how many are made, at most.
  ///   - deadline: after it no further products are made.
  init(
    _ legs: ResidualLegs, masked: [Tensor<Float>], base: [Tensor<Float>], memory: Int, maxMatrices: Int,
    compute: Compute,
    until deadline: Deadline
  ) {
    let width = legs.width
    let limit = min(maxMatrices, max(4, memory / max(1, 2 * 8 * width * width)))
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
            Self.product(first, masked[vector].elements.map(Double.init), compute),
            Self.product(second, base[vector].elements.map(Double.init), compute), to: &vectors, scaled: true)
        }
        if bundle.keepsOnes {
          let ones = [Double](repeating: 1, count: first.rows)
          add(Self.product(first, ones, compute), Self.product(second, ones, compute), to: &vectors, scaled: true)
        }
      }
      for left in mine.indices {
        for right in mine.indices where right >= left && mine[left].rows == mine[right].rows {
          add(
            Self.diagonal(mine[left], mine[right]), Self.diagonal(theirs[left], theirs[right]), to: &diagonals,
            scaled: false)
          guard matrices.count < limit else { continue }
          guard let first = Self.centred(mine[left].times(mine[right], transposed: true, compute: compute)),
            let second = Self.centred(theirs[left].times(theirs[right], transposed: true, compute: compute))
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
  private static func product(_ leg: Tensor<Double>, _ vector: [Double], _ compute: Compute) -> [Double] {
    Tensor(vector, shape: [1, vector.count]).times(leg, compute: compute).elements
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

/// The pretrained weights that touch one space, ordered by what lies at their other end.
///
/// Every such matrix is a leg L, `[inner, d]`: the weight that reads the space, or the transpose of one that writes it. With orthogonal keys
/// both are masked alike, L' = K_inner L Kᵀ, so that in a product of two legs with one inner key that key cancels: L₁'ᵀ L₂' = K L₁ᵀ L₂ Kᵀ.
struct ResidualLegs: Sendable {
  /// A weight as a leg.
  struct Leg: Sendable {
    let parameter: Int
    let isWriter: Bool
    /// Query heads that share a group's key: they are summed, and their order within the group does not matter. 1 for all other spaces.
    var headsInGroup = 1
    /// Of a head, where several are summed.
    var headWidth = 1
  }

  /// Legs with one key at their inner end.
  struct Bundle: Sendable {
    var legs: [Leg]
    /// Biases that live in the inner space.
    var vectors: [Int]
    /// Whether the inner key moves numbers only, so that the vector of ones is its own image.
    var keepsOnes: Bool
  }

  /// Vectors in the space itself: gains, shifts and biases.
  let vectors: [Int]
  let bundles: [Bundle]
  /// d.
  let width: Int

  var isEmpty: Bool { bundles.isEmpty && vectors.isEmpty }

  /// - Parameters:
  ///   - view: whose groups and names are no secret; its weights only tell the width of grouped heads.
  ///   - base: as many tensors of the same shapes.
  init(_ view: ProviderView, base: [Tensor<Float>]) {
    let space = view.input
    var (vectors, legs, inner): ([Int], [SpaceID: [Leg]], [SpaceID: [Int]]) = ([], [:], [:])
    var order: [SpaceID] = []
    func add(_ leg: Leg, _ end: SpaceID) {
      if legs[end] == nil { order.append(end) }
      legs[end, default: []].append(leg)
    }
    for (index, parameter) in view.parameters.enumerated() where parameter.origin == .pretrained {
      switch (parameter.rows == space, parameter.columns) {
      case (true, nil): vectors.append(index)
      case (false, nil): inner[parameter.rows, default: []].append(index)
      case (true, let columns?): if columns != space { add(Leg(parameter: index, isWriter: true), columns) }
      case (false, let columns?): if columns == space { add(Leg(parameter: index, isWriter: false), parameter.rows) }
      }
    }
    func width(_ leg: Leg) -> Int {
      leg.isWriter ? base[leg.parameter].columns : base[leg.parameter].rows
    }
    var bundles: [Bundle] = []
    var folded: [(bundle: Int, leg: Int)] = []
    for end in order {
      guard let own = legs[end] else { continue }
      var bundle = Bundle(
        legs: own, vectors: inner[end] ?? [], keepsOnes: (view.groups[end] ?? .orthogonal) <= .permutation)
      // Keys meet the queries and values meet the context head by head, under keys that a group's heads share.
      if let partner = Self.partner(of: end), let others = legs[partner], let first = own.first {
        for other in others where width(first) > 0 && width(other).isMultiple(of: width(first)) {
          var leg = other
          leg.headsInGroup = width(other) / width(first)
          if leg.headsInGroup == 1 { bundle.vectors += inner[partner] ?? [] }
          if leg.headsInGroup > 1 { folded.append((bundles.count, bundle.legs.count)) }
          bundle.legs.append(leg)
        }
      }
      // Without groups the queries are in the keys' bundle already.
      if let follower = Self.follower(of: end), let others = legs[follower], let first = own.first,
        let other = others.first, width(first) == width(other)
      {
        continue
      }
      bundles.append(bundle)
    }
    if !folded.isEmpty {
      let headWidth = Self.headWidth(bundles, folded, masked: view.initialWeights, base: base, innerWidth: width)
      for place in folded { bundles[place.bundle].legs[place.leg].headWidth = headWidth }
    }
    self.vectors = vectors
    self.bundles = bundles
    self.width = base.indices.contains(vectors.first ?? -1) ? base[vectors[0]].count : Self.width(bundles, base)
  }

  private static func width(_ bundles: [Bundle], _ base: [Tensor<Float>]) -> Int {
    guard let leg = bundles.first?.legs.first else { return 0 }
    return leg.isWriter ? base[leg.parameter].rows : base[leg.parameter].columns
  }

  /// The space whose heads take the same keys as those of `space`, group by group.
  private static func partner(of space: SpaceID) -> SpaceID? {
    replacing(space, "key", by: "query") ?? replacing(space, "value", by: "context")
  }

  private static func follower(of space: SpaceID) -> SpaceID? {
    replacing(space, "query", by: "key") ?? replacing(space, "context", by: "value")
  }

  private static func replacing(_ space: SpaceID, _ last: String, by other: String) -> SpaceID? {
    space.name.hasSuffix(".\(last)") ? SpaceID(space.name.dropLast(last.count) + other) : nil
  }

  /// The width of heads that leaves the traces of all products of grouped heads as they are in the base: any other sums what does not belong
  /// together.
  private static func headWidth(
    _ bundles: [Bundle], _ folded: [(bundle: Int, leg: Int)], masked: [Tensor<Float>], base: [Tensor<Float>],
    innerWidth: (Leg) -> Int
  ) -> Int {
    let whole = folded.map { innerWidth(bundles[$0.bundle].legs[0]) }.min() ?? 1
    var best = (width: 1, difference: Double.infinity)
    for width in 1...max(1, whole) where whole.isMultiple(of: width) {
      var difference = 0.0
      for place in folded.prefix(8) {
        let first = bundles[place.bundle].legs[0]
        var other = bundles[place.bundle].legs[place.leg]
        other.headWidth = width
        func trace(_ weights: [Tensor<Float>]) -> (product: Double, size: Double) {
          let (left, right) = (matrix(first, weights), matrix(other, weights))
          return left.withUnsafeBufferPointer { left in
            right.withUnsafeBufferPointer { right in
              var (product, size) = (0.0, 0.0)
              for index in left.indices {
                product += left[index] * right[index]
                size += abs(left[index] * right[index])
              }
              return (product, size)
            }
          }
        }
        let (mine, theirs) = (trace(masked), trace(base))
        difference += abs(mine.product - theirs.product) / max(mine.size, theirs.size, .leastNormalMagnitude)
      }
      if difference < best.difference { best = (width, difference) }
    }
    return best.width
  }

  /// `[inner, d]`, heads of a group summed.
  static func matrix(_ leg: Leg, _ weights: [Tensor<Float>]) -> Tensor<Double> {
    let stored = weights[leg.parameter].converted(to: Double.self)
    let matrix = leg.isWriter ? stored.transposed : stored
    guard leg.headsInGroup > 1 else { return matrix }
    let width = matrix.columns
    let group = leg.headsInGroup * leg.headWidth
    var result = Tensor<Double>(zeros: [matrix.rows / leg.headsInGroup, width])
    result.withUnsafeMutableBufferPointer { target in
      matrix.withUnsafeBufferPointer { source in
        for row in 0..<matrix.rows {
          let sum = row / group * leg.headWidth + row % leg.headWidth
          for column in 0..<width { target[sum * width + column] += source[row * width + column] }
        }
      }
    }
    return result
  }
}
