import Foundation

/// Which of two neighbouring data sets the outcome is drawn from; both count, as adjacency is adding or removing a record.
enum Adjacency: CaseIterable, Sendable {
  /// The outcome comes from the data with the record: the loss is log Q/P, drawn from Q.
  case removing
  /// It comes from the data without: the loss is log P/Q, drawn from P.
  case adding
}

/// The privacy loss of one step in both directions, rounded to the multiples of `cell` (Gopi, Lee & Wutschitz, "Numerical
/// Composition of Differential Privacy", 2021, Algorithm 2): outcomes are cut to where all but a given mass lies, each cell holds the
/// mass of the losses that round to it, and a shift makes the mean that of the exact loss.
struct PrivacyLossDistribution: Sendable {
  let cell: Double
  /// log Q/P is in the cells `first`, `first + 1`, …: cell i is the losses within cell/2 of i · cell.
  let first: Int
  /// The mass of these cells under Q and under P; each sums to 1.
  private(set) var with: [Double]
  private(set) var without: [Double]
  /// What is added to i · cell in the direction `removing`, and to −i · cell in `adding`; at most cell/2 in size.
  let removingShift: Double
  let addingShift: Double

  /// How many cells one step would need. `tail` is the mass that may be left out.
  static func cells(of step: SubsampledGaussian, cell: Double, tail: Double) -> Double {
    let outcomes = range(of: step, tail: tail)
    return (step.loss(at: outcomes.upperBound) - step.loss(at: outcomes.lowerBound)) / cell + 3
  }

  /// All but `tail` of the outcomes, under P as under Q: a normal variable passes z on one side with less than exp(−z²/2)/2.
  private static func range(of step: SubsampledGaussian, tail: Double) -> ClosedRange<Double> {
    let z = (-2 * log(tail)).squareRoot()
    return (-z * step.noiseMultiplier)...(1 + z * step.noiseMultiplier)
  }

  /// The caller has checked `cells`, so that every cell's number fits an integer and all of them memory.
  init(of step: SubsampledGaussian, cell: Double, tail: Double) {
    let outcomes = Self.range(of: step, tail: tail)
    let first = Int((step.loss(at: outcomes.lowerBound) / cell).rounded())
    let last = max(first, Int((step.loss(at: outcomes.upperBound) / cell).rounded()))
    self.cell = cell
    self.first = first
    var (with, without) = ([Double](), [Double]())
    with.reserveCapacity(last - first + 1)
    without.reserveCapacity(last - first + 1)
    // Left of 0 masses are differences of lower tails, right of 0 of upper tails: neither loses its digits in a tail.
    var edge = outcomes.lowerBound
    var tails = edge < 0 ? step.masses(below: edge) : step.masses(above: edge)
    for index in first...last {
      let bound = index == last ? .infinity : step.outcome(withLoss: (Double(index) + 0.5) * cell)
      let next = max(edge, min(bound, outcomes.upperBound))
      if edge < 0 && next >= 0 {
        let (below, above) = (step.masses(below: edge), step.masses(above: next))
        with.append(max(0, 1 - below.with - above.with))
        without.append(max(0, 1 - below.without - above.without))
        tails = above
      } else {
        let following = next < 0 ? step.masses(below: next) : step.masses(above: next)
        with.append(abs(following.with - tails.with))
        without.append(abs(following.without - tails.without))
        tails = following
      }
      edge = next
    }
    let rounded = (Self.normalise(&with, first: first), Self.normalise(&without, first: first))
    let exact = Self.means(of: step, outcomes)
    self.with = with
    self.without = without
    removingShift = exact.with - rounded.0 * cell
    addingShift = rounded.1 * cell - exact.without
  }

  /// Divides by the sum; the mean of the cell's number.
  private static func normalise(_ masses: inout [Double], first: Int) -> Double {
    let total = masses.reduce(0, +)
    var mean = 0.0
    for index in masses.indices {
      masses[index] /= total
      mean += masses[index] * Double(first + index)
    }
    return mean
  }

  /// The means of log Q/P within these outcomes, under Q and under P. The loss has its nearest singular point πσ² from the real
  /// line and the densities vary over σ, so panels of the smaller of σ and σ² are exact to rounding.
  private static func means(
    of step: SubsampledGaussian, _ outcomes: ClosedRange<Double>
  ) -> (with: Double, without: Double) {
    let sigma = step.noiseMultiplier
    let (below, above) = (step.masses(below: outcomes.lowerBound), step.masses(above: outcomes.upperBound))
    let sums = GaussLegendre.integrals(
      from: outcomes.lowerBound, to: outcomes.upperBound, width: min(sigma, sigma * sigma)
    ) { x in
      let (densities, loss) = (step.densities(at: x), step.loss(at: x))
      return (densities.with * loss, densities.without * loss)
    }
    return (sums.0 / (1 - below.with - above.with), sums.1 / (1 - below.without - above.without))
  }
}

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
