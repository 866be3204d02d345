import Foundation

/// The sum of the privacy losses of many steps on a grid, in both directions, and δ and ε read from it.
struct ComposedPrivacyLoss: Sendable {
  struct Direction: Sendable {
    /// The mass of each cell, cells counted modulo the grid's number; rounding may leave it slightly below 0.
    let masses: [Double]
    /// What is added to a cell's number times its size.
    let shift: Double
  }

  let grid: PrivacyLossGrid
  /// Of the steps that were composed.
  let epsilonError: Double
  let removing: Direction
  let adding: Direction
  /// What rounding can have added to δ.
  let roundoff: Double

  /// The smallest ε ≥ 0 with δ(ε) at most `delta`, in the worse direction: of the grid alone, without its errors.
  func epsilon(delta: Double) -> Double {
    max(epsilon(delta: delta, in: removing), epsilon(delta: delta, in: adding))
  }

  /// δ(ε) = Σ over losses y above ε of mass · (1 − exp(ε − y)), in the worse direction, without the grid's errors.
  func delta(epsilon: Double) -> Double {
    max(delta(epsilon: epsilon, in: removing), delta(epsilon: epsilon, in: adding))
  }

  private func firstCell(_ direction: Direction) -> Int {
    Int(((grid.low - direction.shift) / grid.cell).rounded(.down))
  }

  /// From the largest loss down. With D = δ(ε) at a cell's loss and T = Σ mass exp(ε − y) above it, one cell further down, by s:
  /// D grows by (1 − exp(−s)) T and T shrinks by exp(−s). Nothing cancels, and within a cell the equation is solved as it stands.
  private func epsilon(delta: Double, in direction: Direction) -> Double {
    let (first, mask) = (firstCell(direction), grid.count - 1)
    let (decay, gain) = (exp(-grid.cell), -expm1(-grid.cell))
    var (distance, weight) = (0.0, 0.0)
    for offset in stride(from: grid.count - 1, through: 0, by: -1) {
      let loss = Double(first + offset) * grid.cell + direction.shift
      guard loss > 0 else {
        // The cell below 0 is not reached: up to ε = 0 there may be a part of a cell.
        let upper = loss + grid.cell
        let step = -log1p(-min(1, max(0, (delta - distance) / weight)))
        return weight > 0 && step < upper ? upper - step : 0
      }
      // `distance` and `weight` are those at the loss one cell above, with that cell's own mass in `weight`.
      let next = distance + gain * weight
      if next > delta, weight > 0 { return loss + grid.cell + log1p(-(delta - distance) / weight) }
      distance = next
      weight = weight * decay + direction.masses[(first + offset) & mask]
    }
    return 0
  }

  func delta(epsilon: Double, in direction: Direction) -> Double {
    let (first, mask) = (firstCell(direction), grid.count - 1)
    var sum = 0.0
    for offset in stride(from: grid.count - 1, through: 0, by: -1) {
      let loss = Double(first + offset) * grid.cell + direction.shift
      guard loss > epsilon else { break }
      sum += direction.masses[(first + offset) & mask] * -expm1(epsilon - loss)
    }
    return min(1, max(0, sum))
  }
}
