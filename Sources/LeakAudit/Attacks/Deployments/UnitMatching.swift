import Models
import Numerics

/// Which unit of one copy is which of the other, and with which sign: unit i of the second is unit `units[i]` of the first times `signs[i]`.
struct UnitMatching: Sendable, Equatable {
  private(set) var units: [Int]
  private(set) var signs: [Double]

  /// By what no key changes: a unit's inner products with all units, sorted, for their order is the other key's. Signs by the leading eigenvector
  /// of how the products compare.
  ///
  /// - Returns: nil where the weights are zero.
  init?(_ anchor: CopyAnchor, compute: Compute) {
    let count = anchor.units
    self.init(identity: count)
    guard anchor.group > .trivial, count > 0 else { return }
    guard let first = Self.products(anchor.legs.map(\.first), compute: compute),
      let second = Self.products(anchor.legs.map(\.second), compute: compute)
    else { return nil }
    let isSigned = anchor.group == .signedPermutation
    units = Self.match(
      Self.fingerprints(first, isSigned: isSigned), Self.fingerprints(second, isSigned: isSigned), compute: compute)
    guard isSigned else { return }
    var comparison = Tensor<Double>(zeros: [count, count])
    for row in 0..<count {
      for column in 0..<count where column != row {
        comparison[row, column] = second[row, column] * first[units[row], units[column]]
      }
    }
    signs = SignSynchronization(compute: compute).signs(of: comparison)
  }

  private init(identity count: Int) {
    units = Array(0..<count)
    signs = Array(repeating: 1, count: count)
  }

  /// The same again once R is known, by the weights themselves.
  func refined(_ anchor: CopyAnchor, relation: Tensor<Double>, compute: Compute) -> UnitMatching {
    guard anchor.group > .trivial, anchor.units > 0 else { return self }
    let isSigned = anchor.group == .signedPermutation
    var products = Tensor<Double>(zeros: [anchor.units, anchor.units])
    var squares = [Double](repeating: 0, count: anchor.units)
    for leg in anchor.legs {
      let turned = leg.first.times(relation, otherTransposed: true, compute: compute)
      products.add(leg.second.times(turned, otherTransposed: true, compute: compute), scaled: 1)
      for (unit, square) in leg.first.squaredNorms.enumerated() { squares[unit] += square }
    }
    let matching = NearestMatching(products: products, squares: squares, isSigned: isSigned)
    var result = self
    (result.units, result.signs) = (matching.columns, matching.signs)
    return result
  }

  /// With the other common sign.
  var negated: UnitMatching {
    var result = self
    result.signs = signs.map { -$0 }
    return result
  }

  /// The second copy's units in the order and with the signs of the first.
  func aligned(_ second: Tensor<Double>) -> Tensor<Double> {
    var result = Tensor<Double>(uninitialized: second.shape)
    for (row, unit) in units.enumerated() {
      for column in 0..<second.columns { result[unit, column] = signs[row] * second[row, column] }
    }
    return result
  }

  /// Σ L Lᵀ over the mean square of a unit, `[units, units]`; nil where that is zero.
  private static func products(_ legs: [Tensor<Double>], compute: Compute) -> Tensor<Double>? {
    let count = legs.first?.rows ?? 0
    var sum = Tensor<Double>(zeros: [count, count])
    for leg in legs { sum.add(leg.times(leg, otherTransposed: true, compute: compute), scaled: 1) }
    let mean = (0..<count).reduce(0) { $0 + sum[$1, $1] } / Double(max(1, count))
    guard mean > 1e-60, mean.isFinite else { return nil }
    return Tensor(sum.elements.map { $0 / mean }, shape: sum.shape)
  }

  /// A unit's own square, and its products with all in ascending order, `[units, units + 1]`.
  private static func fingerprints(_ products: Tensor<Double>, isSigned: Bool) -> Tensor<Double> {
    let count = products.rows
    var result = Tensor<Double>(uninitialized: [count, count + 1])
    for row in 0..<count {
      let sorted = (0..<count).map { isSigned ? abs(products[row, $0]) : products[row, $0] }.sorted()
      for (column, value) in sorted.enumerated() { result[row, column] = value }
      result[row, count] = products[row, row]
    }
    return result
  }

  /// For each of the second the nearest of the first, one to one.
  private static func match(_ first: Tensor<Double>, _ second: Tensor<Double>, compute: Compute) -> [Int] {
    // What all have in common tells none from another, and would only cost digits.
    let mean = first.columnMeans
    let (first, second) = (first.subtracting(mean), second.subtracting(mean))
    return NearestMatching(
      products: second.times(first, otherTransposed: true, compute: compute), squares: first.squaredNorms
    ).columns
  }
}
