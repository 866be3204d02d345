import Federation
import TestSupport
import Testing

@testable import SiteRole

/// Which sums of a history a site is told of because they differ by one site.
@Suite struct DifferencingTests {
  private static let sites = ["a", "b", "c", "d", "e"]

  private func record(_ purpose: SumPurpose, _ survivors: String) -> SumRecord {
    SumRecord(
      purpose: purpose, sum: 1, attempt: 1, cohort: Self.sites, survivors: survivors.map { String($0) }, seconds: 0)
  }

  private func told(_ records: [SumRecord], after known: [SumRecord] = []) -> [[String]] {
    var differencing = Differencing(sites: Self.sites, records: known)
    return records.flatMap { differencing.add($0) }.map { [$0.site] + $0.purposes }
  }

  @Test func `A sum is compared with every earlier one, not only with the last`() {
    let history = [
      record(.update(round: 0), "abcd"), record(.update(round: 1), "bcde"), record(.update(round: 2), "abc"),
    ]
    #expect(told(history) == [["d", "update 0", "update 2"]])
    // Two sites, or one for another: the difference is of two.
    #expect(told([record(.update(round: 0), "abcd"), record(.update(round: 1), "ab")]).isEmpty)
    #expect(told([record(.update(round: 0), "abc"), record(.update(round: 1), "abd")]).isEmpty)
    #expect(told([record(.update(round: 0), "abc"), record(.update(round: 1), "abc")]).isEmpty)
  }

  @Test func `Sums of means, deviations and class counts are compared too`() {
    let history = [
      record(.means, "abcde"), record(.deviations, "abcd"), record(.classCounts, "abcd"),
      record(.update(round: 0), "abce"),
    ]
    #expect(
      told(history) == [["e", "means", "deviations"], ["e", "means", "class counts"], ["d", "means", "update 0"]])
  }

  @Test func `A pair of kinds is told once for a site, also by a process that goes on`() {
    let history = [
      record(.update(round: 0), "abcd"), record(.update(round: 1), "abcde"), record(.update(round: 2), "abcd"),
      record(.update(round: 3), "abce"),
    ]
    #expect(told(history) == [["e", "update 0", "update 1"], ["d", "update 1", "update 3"]])
    #expect(told(Array(history[2...]), after: Array(history[..<2])) == [["d", "update 1", "update 3"]])
    #expect(told([record(.evaluation(rounds: 4), "abcde")], after: history).map(\.[0]) == ["d", "e"])
  }

  @Test func `A record of sites or sums that no charter has is passed over`() {
    #expect(told([record(.update(round: 0), "abcd"), record(.update(round: 1), "abcdz")]).isEmpty)
  }

  /// Random cohorts of 70 sites, whose bits are more than a word's, against a loop over all pairs.
  @Test func `What is told is what a loop over all pairs finds`() {
    let names = (0..<70).map { "site\($0)" }
    var generator = SplitMix(seed: 3)
    var out: [Set<Int>] = []
    for _ in 0..<60 { out.append(Set((0..<2).map { _ in Int(generator.next() % 5) * 17 })) }
    let records = out.enumerated().map { round, out in
      SumRecord(
        purpose: .update(round: round), sum: 1, attempt: 1, cohort: names,
        survivors: names.indices.filter { !out.contains($0) }.map { names[$0] }, seconds: 0)
    }
    var differencing = Differencing(sites: names, records: [])
    var told = Set<String>()
    var pairs = 0
    for (number, record) in records.enumerated() {
      var expected = Set<String>()
      for earlier in records[..<number] {
        let difference = Set(earlier.survivors).symmetricDifference(record.survivors)
        if difference.count == 1, let site = difference.first, !told.contains(site) { expected.insert(site) }
      }
      #expect(Set(differencing.add(record).map(\.site)) == expected)
      told.formUnion(expected)
      pairs += expected.count
    }
    #expect(pairs == 5)
  }
}
