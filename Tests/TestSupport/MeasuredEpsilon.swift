import Foundation

/// What a distinguisher's errors say of ε: for every test that tells a run with something from one without it, 1 − β ≤ e^ε α + δ of its two errors
/// (Kairouz et al., 2015; Nasr et al., 2021), which bounds ε from below.
package enum MeasuredEpsilon {
  /// P(X ≤ k) of n coins with probability p.
  private static func distribution(_ k: Int, _ n: Int, _ p: Double) -> Double {
    if p <= 0 { return 1 }
    if p >= 1 { return k >= n ? 1 : 0 }
    // From (1 − p)ⁿ on, each term from the one before it.
    var term = Double(n) * log1p(-p)
    var sum = exp(term)
    for j in 1..<max(1, k + 1) {
      term += log(Double(n - j + 1) / Double(j)) + log(p) - log1p(-p)
      sum += exp(term)
    }
    return sum
  }

  /// The largest probability at which k or fewer of n would be seen with `risk` (Clopper and Pearson, 1934).
  private static func upperBound(_ k: Int, of n: Int, risk: Double) -> Double {
    if k >= n { return 1 }
    var (low, high) = (0.0, 1.0)
    for _ in 0..<60 {
      let middle = (low + high) / 2
      if distribution(k, n, middle) > risk { low = middle } else { high = middle }
    }
    return high
  }

  /// A lower bound of ε that holds with probability 1 − 1e-4: the threshold is chosen on one half of the trials, errors are counted on the other.
  ///
  /// - Parameters:
  ///   - with: a score of each trial, larger where the distinguisher believes that it was there.
  ///   - without: as many.
  package static func lowerBound(with: [Double], without: [Double], delta: Double) -> Double {
    let half = with.count / 2
    func bound(_ threshold: Double, _ part: Range<Int>, risk: Double) -> Double {
      let missed = part.count { with[$0] <= threshold }
      let raised = part.count { without[$0] > threshold }
      let beta = upperBound(missed, of: part.count, risk: risk)
      let alpha = upperBound(raised, of: part.count, risk: risk)
      return max(log((1 - beta - delta) / alpha), log((1 - alpha - delta) / beta))
    }
    let candidates = (with + without).sorted().enumerated().filter { $0.offset % 100 == 50 }.map {
      (threshold: $0.element, epsilon: bound($0.element, 0..<half, risk: 0.05))
    }
    let best = candidates.max { $0.epsilon < $1.epsilon }?.threshold ?? 0
    return bound(best, half..<with.count, risk: 0.25e-4)
  }
}
