import Testing

@testable import Masking

@Suite struct TokenOrderTests {
  /// A resumed run draws what the interrupted one drew, in whatever order it asks.
  @Test func ordersComeBackForTheSameMasterPassAndSample() {
    let first = TokenOrder(master: .fixed(seed: 1), pass: 3)
    let orders = (0..<50).map { first.order(sample: $0, tokens: 40) }
    let again = TokenOrder(master: .fixed(seed: 1), pass: 3)
    for sample in (0..<50).reversed() { #expect(again.order(sample: sample, tokens: 40) == orders[sample]) }
  }

  @Test func everySamplePassAndJobHasAnOrderOfItsOwn() {
    var orders: Set<[Int]> = []
    for seed in 0..<3 {
      for pass in 0..<5 {
        let order = TokenOrder(master: .fixed(seed: seed), pass: pass)
        for sample in 0..<20 { orders.insert(order.order(sample: sample, tokens: 40)) }
      }
    }
    // 300 of 40! ≈ 8e47 do not meet by chance.
    #expect(orders.count == 300)
    #expect(orders.allSatisfy { $0.sorted() == Array(0..<40) })
  }

  @Test func shortSamplesHaveOrdersToo() {
    let order = TokenOrder(master: .fixed(seed: 0), pass: 0)
    #expect(order.order(sample: 0, tokens: 0).isEmpty)
    #expect(order.order(sample: 1, tokens: 1) == [0])
  }

  /// Over samples and over passes the 24 orders of four tokens are equally likely: Pearson's statistic with 23 degrees of
  /// freedom, mean 23 and variance 46, five standard deviations; the master is fixed.
  @Test func ordersAreUniformOverSamplesAndPasses() {
    let one = TokenOrder(master: .fixed(seed: 2), pass: 0)
    let overSamples = (0..<24 * 100).map { one.order(sample: $0, tokens: 4) }
    let overPasses = (0..<24 * 100).map { TokenOrder(master: .fixed(seed: 2), pass: $0).order(sample: 7, tokens: 4) }
    for orders in [overSamples, overPasses] {
      var counts: [[Int]: Int] = [:]
      for order in orders { counts[order, default: 0] += 1 }
      let statistic = counts.values.reduce(0.0) { $0 + (Double($1) - 100) * (Double($1) - 100) / 100 }
      #expect(counts.count == 24)
      #expect(statistic < 23 + 5 * 46.0.squareRoot())
    }
  }
}
