import Testing

@testable import SecureSums

@Suite struct SumRosterTests {
  private func roster(
    _ count: Int, threshold: Int, minimum: Int, digest: Int = 32, alter: (inout [SumRoster.Site]) -> Void = { _ in },
    aggregator: [UInt8] = [UInt8](repeating: 0xaa, count: 32)
  ) throws -> SumRoster {
    var sites = (0..<count).map { number in
      SumRoster.Site(name: "hospital \(number + 1)", publicKey: [UInt8](repeating: 0, count: 31) + [UInt8(number)])
    }
    alter(&sites)
    return try SumRoster(
      charterDigest: [UInt8](repeating: 1, count: digest), sites: sites, aggregatorKey: aggregator,
      threshold: threshold, minimum: minimum)
  }

  @Test func ordinaryChartersAreTaken() throws {
    #expect(try roster(2, threshold: 2, minimum: 2).sites.count == 2)
    #expect(try roster(6, threshold: 4, minimum: 4).protection.dropOutsBorne == 2)
    #expect(try roster(100, threshold: 67, minimum: 50).numbers == 1...100)
  }

  @Test func chartersThatCannotBeAreRefused() {
    for (count, threshold, minimum) in [
      (1, 1, 1), (101, 60, 50), (6, 3, 4), (6, 7, 4), (6, 4, 1), (6, 4, 7), (6, 0, 4), (6, 4, 0), (0, 0, 0),
    ] {
      let error = #expect(throws: SumError.self) { try roster(count, threshold: threshold, minimum: minimum) }
      guard case .roster? = error else {
        Issue.record("expected a refusal, got \(String(describing: error))")
        return
      }
    }
    #expect(
      throws: SumError.roster("101 sites; secure sums take 2 to 100, since every two sites share keys for every sum")
    ) {
      try roster(101, threshold: 60, minimum: 50)
    }
    #expect(throws: SumError.self) { try roster(3, threshold: 2, minimum: 2, digest: 31) }
    #expect(throws: SumError.roster("two sites are called hospital 1")) {
      try roster(3, threshold: 2, minimum: 2, alter: { $0[1] = .init(name: "hospital 1", publicKey: $0[1].publicKey) })
    }
    #expect(throws: SumError.roster("the key of hospital 2 is another's too")) {
      try roster(3, threshold: 2, minimum: 2, alter: { $0[1] = .init(name: "hospital 2", publicKey: $0[0].publicKey) })
    }
    #expect(throws: SumError.roster("the key of hospital 1 is another's too")) {
      try roster(3, threshold: 2, minimum: 2, aggregator: [UInt8](repeating: 0, count: 32))
    }
    #expect(throws: SumError.roster("the key of hospital 2 has not 32 bytes")) {
      try roster(3, threshold: 2, minimum: 2, alter: { $0[1] = .init(name: "hospital 2", publicKey: [1]) })
    }
    #expect(throws: SumError.self) { try roster(3, threshold: 2, minimum: 2, aggregator: []) }
    #expect(throws: SumError.self) {
      try roster(3, threshold: 2, minimum: 2, alter: { $0[1] = .init(name: "", publicKey: $0[1].publicKey) })
    }
  }

  /// n, t, minimum; drop-outs borne, colluders of a curious aggregator, of one that lies; whether two thirds are passed.
  @Test(arguments: [
    ((3, 2, 2), (1, 0, 0, false)), ((3, 3, 3), (0, 1, 1, true)), ((6, 4, 4), (2, 2, 1, false)),
    ((6, 5, 4), (1, 2, 2, true)), ((10, 7, 5), (3, 3, 3, true)), ((10, 6, 5), (4, 3, 1, false)),
    ((10, 7, 9), (1, 6, 3, true)), ((100, 67, 50), (33, 48, 33, true)), ((2, 2, 2), (0, 0, 0, true)),
  ])
  func whatAThresholdProtectsFrom(_ charter: (Int, Int, Int), _ expected: (Int, Int, Int, Bool)) {
    let protection = SumProtection(sites: charter.0, threshold: charter.1, minimum: charter.2)
    #expect(protection.dropOutsBorne == expected.0)
    #expect(protection.colludersOfCurious == expected.1)
    #expect(protection.colludersOfLiar == expected.2)
    #expect(protection.againstLiar == expected.3)
  }

  @Test func itIsSaidInPlainWords() {
    #expect(
      SumProtection(sites: 10, threshold: 7, minimum: 5).lines == [
        "7 of 10 sites must help to open a sum, and at least 5 sites are in each.",
        "An aggregator that keeps to the protocol but is curious learns sums only, with up to 3 sites in league with it.",
        "An aggregator that lies learns sums only, too, with up to 3 sites in league with it.",
        "3 sites may be away or be lost at any moment.",
        "Sums do not stop poisoned updates, nor an aggregator in league with all sites but one, nor what two sums over cohorts that differ by one "
          + "site say of that site.",
      ])
    // Three sites against a liar bear no drop-out.
    let three = SumProtection(sites: 3, threshold: 3, minimum: 2).lines
    #expect(three.contains("No site may be away: a sum waits until all are back."))
    #expect(three.contains("An aggregator that lies learns sums only, too, with no site in league with it."))
    #expect(
      SumProtection(sites: 6, threshold: 4, minimum: 4).lines.contains(
        "Against an aggregator that lies and has sites in league with it a threshold of 5 is needed; this one bears one site in league with it."
      ))
  }
}
