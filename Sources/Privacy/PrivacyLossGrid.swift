import Foundation

/// The grid on which privacy losses of many steps are summed, and what its errors add up to.
///
/// The sum of k losses is known up to ε_error but for events of probability δ_error in all, by the argument of Gopi, Lee &
/// Wutschitz (2021, Theorem 5.5), with each part stated here:
/// - each step's rounding has mean 0 and lies within one cell, so all of them pass ε_error in one direction with probability at
///   most exp(−2 ε_error²/(k cell²)) (Hoeffding): δ_error/6 gives the size of a cell;
/// - outcomes that are left out: δ_error/8 over all steps;
/// - sums that leave the grid wrap around. Rényi divergences bound them on either side (Chernoff): δ_error/8 each. Exact sums do
///   that; the rounded ones follow but for the two parts above, which therefore count three times and twice: 3/6 + 2/8 + 2/8 = 1.
struct PrivacyLossGrid: Sendable {
  let cell: Double
  /// The number of cells, a power of two.
  let count: Int
  /// No sum is below, but for what `deltaError` counts.
  let low: Double
  /// For all steps; fewer of them have less, see `epsilonError(steps:)`.
  let epsilonError: Double
  let deltaError: Double
  /// What each step may leave out.
  let tail: Double

  /// Beyond it exp(−loss) comes near the end of Double's range; an ε of this size protects nobody.
  static let largestLoss = 500.0
  /// Each different mechanism has a spectrum in memory, 16 bytes a cell.
  static let largestMechanisms = 64
  static let cellCounts: ClosedRange<Int> = 1024...(1 << 26)

  /// A grid for an error of ε that is asked for. Throws `gridTooFine` where it needs more than `maximumCells`, `lossTooLarge`, and
  /// `outOfRange` for errors that are not above 0 (`epsilonError` at most 100, `deltaError` below 1).
  init(mechanisms: [SubsampledGaussian], epsilonError: Double, deltaError: Double, maximumCells: Int) throws {
    guard epsilonError > 0, epsilonError <= 100 else {
      throw PrivacyError.outOfRange(name: "the error of ε", value: epsilonError, range: "above 0 and at most 100")
    }
    let plan = try Plan(mechanisms, deltaError: deltaError, cells: maximumCells)
    let cell = epsilonError / plan.errorInCells
    let needed = (plan.span + 2 * epsilonError) / cell + 3
    guard needed <= Double(maximumCells) else {
      throw PrivacyError.gridTooFine(
        epsilonError: epsilonError, maximumCells: maximumCells,
        neededError: plan.cell(cells: maximumCells).map {
          Self.roundedUp($0 * plan.errorInCells)
        })
    }
    var count = Self.cellCounts.lowerBound
    while Double(count) < needed { count *= 2 }
    try self.init(plan, cell: cell, count: min(count, Self.cellCounts.upperBound), deltaError: deltaError)
  }

  /// The finest grid of so many cells, a power of two; `epsilonError` is what it gives.
  init(mechanisms: [SubsampledGaussian], cells: Int, deltaError: Double) throws {
    let plan = try Plan(mechanisms, deltaError: deltaError, cells: cells)
    guard cells & (cells - 1) == 0 else {
      throw PrivacyError.countOutOfRange(name: "the number of cells", value: cells, range: "a power of two")
    }
    guard let cell = plan.cell(cells: cells) else {
      throw PrivacyError.gridTooFine(epsilonError: plan.span, maximumCells: cells, neededError: nil)
    }
    try self.init(plan, cell: cell, count: cells, deltaError: deltaError)
  }

  private init(_ plan: Plan, cell: Double, count: Int, deltaError: Double) throws {
    self.cell = cell
    self.count = count
    self.deltaError = deltaError
    epsilonError = cell * plan.errorInCells
    low = plan.low - epsilonError
    tail = plan.tail
    // One step alone may reach further than the sum's grid; it wraps around like a sum. Only its size must be bearable.
    for mechanism in plan.mechanisms {
      guard PrivacyLossDistribution.cells(of: mechanism, cell: cell, tail: tail) <= Double(4 * count) else {
        throw PrivacyError.gridTooFine(epsilonError: epsilonError, maximumCells: count, neededError: nil)
      }
    }
  }

  /// ε_error of so many steps on this grid.
  func epsilonError(steps: Double) -> Double { cell * Plan.errorInCells(steps: steps, deltaError: deltaError) }

  /// ε_error of the finest grid of so many cells, as the initializer finds it, without making the grid; nil where none holds.
  static func epsilonError(_ mechanisms: [SubsampledGaussian], cells: Int, deltaError: Double) throws -> Double? {
    let plan = try Plan(mechanisms, deltaError: deltaError, cells: cells)
    return plan.cell(cells: cells).map { $0 * plan.errorInCells }
  }

  /// To two digits, for advice that holds as printed.
  private static func roundedUp(_ value: Double) -> Double {
    let unit = pow(10, log10(value).rounded(.down) - 1)
    return (value / unit).rounded(.up) * unit
  }

  /// What a grid must span and how its error of ε follows from its cells.
  private struct Plan {
    let mechanisms: [SubsampledGaussian]
    let low: Double
    let span: Double
    let tail: Double
    /// ε_error / cell.
    let errorInCells: Double

    init(_ mechanisms: [SubsampledGaussian], deltaError: Double, cells: Int) throws {
      guard !mechanisms.isEmpty else { throw PrivacyError.empty("mechanism") }
      guard mechanisms.count <= PrivacyLossGrid.largestMechanisms else {
        throw PrivacyError.tooManyMechanisms(count: mechanisms.count, limit: PrivacyLossGrid.largestMechanisms)
      }
      guard deltaError > 0, deltaError < 1 else {
        throw PrivacyError.outOfRange(name: "the error of δ", value: deltaError, range: "above 0 and below 1")
      }
      guard PrivacyLossGrid.cellCounts.contains(cells) else {
        let range = PrivacyLossGrid.cellCounts
        throw PrivacyError.countOutOfRange(
          name: "the number of cells", value: cells, range: "\(range.lowerBound) to \(range.upperBound)")
      }
      let steps = mechanisms.reduce(0.0) { $0 + Double($1.steps) }
      self.mechanisms = mechanisms
      tail = deltaError / (8 * steps)
      errorInCells = Self.errorInCells(steps: steps, deltaError: deltaError)
      // log E exp(λ · sum) is the sum of log A_(λ+1) above, and below, as exp(−sum) weighs Q by P/Q, of log A_λ; A bounds both
      // directions of adjacency.
      let accountant = try RenyiAccountant(mechanisms)
      var (above, below) = (Double.infinity, Double.infinity)
      for (order, divergence) in zip(accountant.orders, accountant.divergences) {
        let moment = divergence * (order - 1)
        above = min(above, (moment + log(8 / deltaError)) / (order - 1))
        below = min(below, (moment + log(8 / deltaError)) / order)
      }
      guard above <= PrivacyLossGrid.largestLoss else {
        throw PrivacyError.lossTooLarge(bound: above, limit: PrivacyLossGrid.largestLoss)
      }
      low = -below
      span = above + below
    }

    static func errorInCells(steps: Double, deltaError: Double) -> Double {
      (steps / 2 * log(6 / deltaError)).squareRoot()
    }

    /// The smallest cell with which so many of them hold the span and ε_error at either end.
    func cell(cells: Int) -> Double? {
      let inside = Double(cells) - 3 - 2 * errorInCells
      return inside > 0 ? span / inside : nil
    }
  }
}
