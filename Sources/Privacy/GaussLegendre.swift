import Foundation

/// Integrals of smooth functions by the Gauss–Legendre rule with 16 nodes on panels of equal width.
enum GaussLegendre {
  private static let nodeCount = 16

  /// The nodes on (−1, 1) with their weights, by Newton's method on the Legendre polynomial.
  private static let rule: [(node: Double, weight: Double)] = (0..<nodeCount).map { index in
    var x = cos(Double.pi * (Double(index) + 0.75) / (Double(nodeCount) + 0.5))
    var slope = 1.0
    for _ in 0..<20 {
      var (before, value) = (1.0, x)
      for n in 2...nodeCount {
        (before, value) = (value, (Double(2 * n - 1) * x * value - Double(n - 1) * before) / Double(n))
      }
      slope = Double(nodeCount) * (x * value - before) / (x * x - 1)
      x -= value / slope
    }
    return (x, 2 / ((1 - x * x) * slope * slope))
  }

  /// Two integrals at once from `low` to `high`, each panel at most `width` wide, at most `panels` of them.
  static func integrals(
    from low: Double, to high: Double, width: Double, panels: Int = 100_000, of function: (Double) -> (Double, Double)
  ) -> (Double, Double) {
    let count = Int(max(1, min(Double(panels), ((high - low) / width).rounded(.up))))
    let half = (high - low) / Double(2 * count)
    var (first, second) = (0.0, 0.0)
    for panel in 0..<count {
      let middle = low + half * Double(2 * panel + 1)
      for (node, weight) in rule {
        let values = function(middle + half * node)
        first += weight * values.0
        second += weight * values.1
      }
    }
    return (first * half, second * half)
  }
}
