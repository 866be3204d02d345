import Foundation

/// ε at a δ by both accountants; the smaller one counts.
package struct PrivacySpent: Equatable, Sendable {
  package enum Accountant: String, Sendable, Codable {
    case renyi
    case privacyLoss
  }

  package let delta: Double
  package let renyi: RenyiEpsilon
  /// nil where the losses do not fit a grid; `privacyLossProblem` says why.
  package let privacyLoss: PrivacyLossEpsilon?
  package let privacyLossProblem: PrivacyError?

  /// What counts: an upper bound of the exact ε.
  package var epsilon: Double { min(renyi.improved, privacyLoss?.upper ?? .infinity) }
  /// Whose figure that is.
  package var counted: Accountant { epsilon == renyi.improved ? .renyi : .privacyLoss }
}

/// What a list of mechanisms spends, in any order: all of them see the same records.
package enum PrivacySpending {
  /// The grid's size for figures that count: an error of ε of 0.006 for 2,250 steps with ε near 7, in about 0.2 s.
  package static let standardCells = 1 << 19

  /// The part of δ that is given to errors of the privacy losses' composition; it costs about 0.0002 of ε.
  package static let deltaShare = 0.001

  /// 0 < δ < 1, at least one mechanism, `cells` a power of two from 1024 to 2^26; `PrivacyError` otherwise. What only the privacy
  /// losses cannot do is no error: Rényi divergences count then.
  package static func spent(
    _ mechanisms: [SubsampledGaussian], delta: Double, cells: Int = standardCells
  ) throws -> PrivacySpent {
    guard !mechanisms.isEmpty else { throw PrivacyError.empty("mechanism") }
    let renyi = try RenyiAccountant(mechanisms).epsilon(delta: delta)
    return try PrivacySpent(delta: delta, renyi: renyi) {
      try PrivacyLossAccountant(mechanisms, cells: cells, deltaError: deltaShare * delta).epsilon(delta: delta)
    }
  }
}

extension PrivacySpent {
  /// Takes limits of the grid as "no figure".
  fileprivate init(delta: Double, renyi: RenyiEpsilon, _ privacyLoss: () throws -> PrivacyLossEpsilon) throws {
    self.delta = delta
    self.renyi = renyi
    do {
      self.privacyLoss = try privacyLoss()
      privacyLossProblem = nil
    } catch let problem as PrivacyError where problem.isOfTheGridAlone {
      self.privacyLoss = nil
      privacyLossProblem = problem
    }
  }
}

extension PrivacyError {
  /// Whether only the composition of privacy losses cannot do what was asked, while Rényi divergences can.
  var isOfTheGridAlone: Bool {
    switch self {
    case .gridTooFine, .lossTooLarge, .deltaTooSmall, .tooManyMechanisms: true
    case .outOfRange, .countOutOfRange, .empty, .notReachable, .alreadySpent: false
    }
  }
}

/// What is spent after each step of a plan, for a ledger and a display: what does not depend on how far the run is, is computed
/// once.
package struct SpendingProgress: Sendable {
  /// In the order in which they run.
  package let plan: [SubsampledGaussian]
  package let delta: Double
  /// What the whole plan spends. Nothing before its end counts for more.
  package let whole: PrivacySpent

  private let orders = RenyiAccountant.standardOrders
  private let divergences: [[Double]]
  private let spectra: PrivacyLossSpectra?

  /// How finely steps before the last are resolved: half as finely for each halving, and as much faster.
  package static let standardCells = 1 << 17

  /// Ranges and errors as `PrivacySpending.spent`.
  package init(plan: [SubsampledGaussian], delta: Double, cells: Int = standardCells) throws {
    self.plan = plan
    self.delta = delta
    whole = try PrivacySpending.spent(plan, delta: delta)
    divergences = plan.map { [orders] in RenyiAccountant.divergencesOfOneStep($0, orders: orders) }
    spectra =
      if whole.privacyLoss == nil {
        nil
      } else {
        PrivacyLossSpectra(
          of: plan,
          on: try PrivacyLossGrid(mechanisms: plan, cells: cells, deltaError: PrivacySpending.deltaShare * delta))
      }
  }

  package var steps: Int { plan.reduce(0) { $0 + $1.steps } }

  /// ε by Rényi divergences alone after so many steps from the plan's beginning, in microseconds. Throws `countOutOfRange` for
  /// less than 0 or more than the plan has.
  package func renyi(after steps: Int) throws -> RenyiEpsilon {
    var accountant = try RenyiAccountant(orders: orders)
    for (count, step) in zip(try counts(after: steps), divergences) { accountant.add(step, steps: count) }
    return try accountant.epsilon(delta: delta)
  }

  /// ε by both accountants, in some hundredths of a second: for every step that lasts longer, or once a round.
  package func spent(after steps: Int) throws -> PrivacySpent {
    let counts = try counts(after: steps)
    if steps == self.steps { return whole }
    guard steps > 0, let spectra else {
      return PrivacySpent(
        delta: delta, renyi: try renyi(after: steps),
        privacyLoss: steps == 0 ? PrivacyLossEpsilon(lower: 0, estimate: 0, upper: 0) : nil,
        privacyLossProblem: steps == 0 ? nil : whole.privacyLossProblem)
    }
    return try PrivacySpent(delta: delta, renyi: try renyi(after: steps)) {
      let bounds = try spectra.composed(steps: counts).bounds(delta: delta)
      guard let last = whole.privacyLoss else { return bounds }
      // ε grows with every step, so what bounds the end bounds the way there.
      return PrivacyLossEpsilon(
        lower: bounds.lower, estimate: min(bounds.estimate, last.upper), upper: min(bounds.upper, last.upper))
    }
  }

  /// How many steps of each mechanism have run.
  private func counts(after steps: Int) throws -> [Int] {
    guard (0...self.steps).contains(steps) else {
      throw PrivacyError.countOutOfRange(
        name: "the number of steps so far", value: steps, range: "0 to \(self.steps), the plan's")
    }
    var left = steps
    return plan.map { mechanism in
      let count = min(left, mechanism.steps)
      left -= count
      return count
    }
  }
}
