import Testing

@testable import LeakAudit

/// Two claims about the same rows: the better one is the attacker's.
@Suite struct TokenClaimTests {
  private let truth: [Int32] = [1, 2, 3, 4]

  private func claim(_ withBase: [Int32]?, _ withoutBase: [Int32]?) -> Measurement {
    func tokens(_ tokens: [Int32]) -> TokenClaim.Tokens { .init(rows: Array(tokens.indices), tokens: tokens) }
    return TokenClaim(
      withBase: withBase.map(tokens), withoutBase: withoutBase.map(tokens), mostFrequent: 1, lengths: nil
    ).measurement(truth: truth)
  }

  private func details(_ measurement: Measurement) -> [String: Double] {
    Dictionary(uniqueKeysWithValues: measurement.details.map { ($0.name, $0.value) })
  }

  @Test func theOneWithTheBaseWhereItRecoversMore() {
    let found = claim([1, 2, 3, 0], [1, 0, 0, 0])
    #expect(found.value == 0.75)
    #expect(
      details(found) == [
        "share of distinct tokens": 0.75, "share of tokens without the base checkpoint": 0.25,
        "share of distinct tokens without the base checkpoint": 0.25,
      ])
  }

  @Test func theOneWithoutTheBaseWhereItRecoversMore() throws {
    let found = claim([1, 0, 0, 0], [1, 2, 3, 0])
    #expect(found.value == 0.75)
    // The interval is of the same claim: Wilson's of three in four is [0.30, 0.95].
    #expect(try #require(found.interval).upper > 0.9)
    #expect(
      details(found) == [
        "share of distinct tokens": 0.75, "share of tokens with the base checkpoint": 0.25,
        "share of distinct tokens with the base checkpoint": 0.25,
      ])
  }

  @Test func oneAlone() {
    for found in [claim([1, 2, 0, 0], nil), claim(nil, [1, 2, 0, 0])] {
      #expect(found.value == 0.5)
      #expect(details(found) == ["share of distinct tokens": 0.5])
    }
    #expect(claim(nil, nil).value == nil)
  }
}
