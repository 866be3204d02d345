extension Interval {
  /// Of a statistic that items drawn twice would inflate, such as agreement beyond chance: what it says of random halves of the items,
  /// without replacement, between the 2.5 and 97.5 % quantiles.
  ///
  /// A mean over a half taken from the whole spreads around the whole's by exactly what the whole's spreads around the truth: the variance
  /// is 1/(n/2) · (1 − 1/2) (Politis, Romano and Wolf, Subsampling, 1999, section 2.2, with the correction for finite populations).
  ///
  /// - Parameters:
  ///   - items: how many there are; at least 2.
  ///   - statistic: of the items with these numbers.
  package static func halfSamples(
    items: Int, draws: Int = 200, random: inout some RandomNumberGenerator, statistic: ([Int]) -> Double
  ) -> Interval {
    var order = Array(0..<items)
    let half = max(1, items / 2)
    var values = (0..<max(1, draws)).map { _ in
      for place in 0..<half { order.swapAt(place, Int.random(in: place..<items, using: &random)) }
      return statistic(Array(order[..<half]))
    }
    values.sort()
    let last = Double(values.count - 1)
    return Interval(lower: values[Int(0.025 * last)], upper: values[Int((0.975 * last).rounded(.up))])
  }
}
