import Foundation

/// ε at a δ by Rényi divergences, by two conversions, each with the order that gave it.
package struct RenyiEpsilon: Equatable, Sendable {
  /// The smaller one: that which counts.
  package let improved: Double
  package let improvedOrder: Double
  /// Mironov, "Rényi Differential Privacy", 2017, Proposition 3: for comparison with older figures.
  package let classic: Double
  package let classicOrder: Double
}

/// Rényi differential privacy of any number of steps: divergences of each order add up (Mironov, 2017, Proposition 1).
package struct RenyiAccountant: Sendable {
  /// Each above 1, in the order that was given.
  package let orders: [Double]
  /// The sum of the divergences of each order, in nats.
  package private(set) var divergences: [Double]

  /// 1.02, 1.05, tenths from 1.1 to 10.9, integers from 11 to 64, then up to 1024 by and by.
  package static let standardOrders: [Double] = {
    var orders: [Double] = [1.02, 1.05]
    for tenths in 11..<110 { orders.append(Double(tenths) / 10) }
    for order in 11...64 { orders.append(Double(order)) }
    return orders + [80, 96, 128, 192, 256, 384, 512, 768, 1024]
  }()

  /// The integers from 2 to 64 alone, as in older tables.
  package static let integerOrders: [Double] = (2...64).map(Double.init)

  /// Throws `PrivacyError.outOfRange` for an order of 1 or below or above 65536, `empty` for none.
  package init(orders: [Double] = standardOrders) throws {
    guard !orders.isEmpty else { throw PrivacyError.empty("order") }
    try orders.forEach(RenyiDivergence.check(order:))
    self.orders = orders
    divergences = Array(repeating: 0, count: orders.count)
  }

  /// The accountant after all steps of these mechanisms.
  package init(_ mechanisms: [SubsampledGaussian], orders: [Double] = standardOrders) throws {
    try self.init(orders: orders)
    mechanisms.forEach { add($0) }
  }

  /// Adds all steps of a mechanism.
  package mutating func add(_ mechanism: SubsampledGaussian) {
    add(Self.divergencesOfOneStep(mechanism, orders: orders), steps: mechanism.steps)
  }

  /// Adds steps whose divergences are known, one for each of `orders`.
  mutating func add(_ step: [Double], steps: Int) {
    for index in orders.indices { divergences[index] += Double(steps) * step[index] }
  }

  static func divergencesOfOneStep(_ mechanism: SubsampledGaussian, orders: [Double]) -> [Double] {
    orders.map { RenyiDivergence.logarithmicMoment(order: $0, of: mechanism) / ($0 - 1) }
  }

  /// ε of all steps so far; 0 before the first. 0 < δ < 1, `PrivacyError.outOfRange` otherwise.
  ///
  /// Improved: ε = D_α + log((α − 1)/α) − (log δ + log α)/(α − 1) (Balle et al., "Hypothesis Testing Interpretations and Rényi
  /// Differential Privacy", 2020, Theorem 21; Canonne, Kamath & Steinke, "The Discrete Gaussian for Differential Privacy",
  /// 2020, Proposition 12). Classic: ε = D_α + log(1/δ)/(α − 1).
  package func epsilon(delta: Double) throws -> RenyiEpsilon {
    try Self.check(delta: delta)
    if divergences.allSatisfy({ $0 == 0 }) {
      return RenyiEpsilon(improved: 0, improvedOrder: orders[0], classic: 0, classicOrder: orders[0])
    }
    var (improved, classic) = ((Double.infinity, orders[0]), (Double.infinity, orders[0]))
    for (order, divergence) in zip(orders, divergences) {
      let older = divergence - log(delta) / (order - 1)
      let newer = max(0, divergence + log1p(-1 / order) - (log(delta) + log(order)) / (order - 1))
      if older < classic.0 { classic = (older, order) }
      if newer < improved.0 { improved = (newer, order) }
    }
    return RenyiEpsilon(
      improved: improved.0, improvedOrder: improved.1, classic: classic.0, classicOrder: classic.1)
  }

  static func check(delta: Double) throws {
    guard delta > 0, delta < 1 else {
      throw PrivacyError.outOfRange(name: "δ", value: delta, range: "above 0 and below 1")
    }
  }
}
