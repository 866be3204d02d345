import Foundation
import TestSupport
import Testing

/// What `encryptor charter` says of a federation's privacy, and refuses.
@Suite(.waiting)
struct CharterPrivacyTests {
  private let site: Site

  init() throws {
    site = try Site(keys: false)
    try site.makeFederationKeys()
  }

  private func write(_ privacy: String, local: String = "{updates: 5}", clip: String = "64") throws {
    try site.writeLinearCharter(
      "rounds: 3, local: \(local), fixed_point: {update_clip: \(clip)}, privacy: {\(privacy)}",
      train: "{batch: 8, keep: last}")
  }

  @Test func privacyOfSites() throws {
    try write("unit: site, clip_norm: 1, epsilon: 5, delta: 1.0e-5")
    let result = try site.encryptor("charter", "charter.yaml")
    #expect(result.code == 0)
    for line in [
      "unit site: ε 5.0 at δ 1e-05, updates clipped to norm 1.0", "over 3 rounds, every site counted in each",
      "so that 2 of at least 2 sites in a sum", "ε at the end: RDP ", "update_clip 64.0 holds it",
      "not sent, since it would have no noise: losses, metrics, numbers of rows", "colluders: 1 covers each by itself",
      "the federation's ε is the largest of its sites'",
    ] {
      #expect(result.output.contains(line), "\(line)")
    }
    // The noise that was found is no less than the analytic Gaussian mechanism's over three rounds, within its tolerances: σ/√3 = 0.892.
    let found = result.output.firstMatch(of: /noise multiplier ([0-9.]+) over/).flatMap { Double($0.1) }
    let sigma = try #require(found) / 3.0.squareRoot()
    func delta(_ s: Double) -> Double {
      let tails = [1 / (2 * s) - 5 * s, -1 / (2 * s) - 5 * s].map { erfc(-$0 / 2.0.squareRoot()) / 2 }
      return tails[0] - exp(5) * tails[1]
    }
    #expect(delta(sigma * 1.001) <= 1e-5 && delta(sigma * 0.998) > 1e-5)
  }

  @Test func privacyOfRecords() throws {
    try write("unit: record, clip_norm: 1, epsilon: 5, delta: 1.0e-5")
    let result = try site.encryptor("charter", "charter.yaml")
    #expect(result.code == 0)
    for line in [
      "unit record: ε 5.0 at δ 1e-05, records' gradients clipped to norm 1.0",
      "draws every row with probability 8/N in each of 3 × 5 steps",
      "a site with fewer than 8 training rows cannot take part",
      "any one of this site's training rows, added or left out",
    ] {
      #expect(result.output.contains(line), "\(line)")
    }
    // A quarter, a sixteenth and a 64th of the rows in a batch.
    for row in ["32 +0.25 ", "128 +0.0625 ", "512 +0.01562 "] {
      #expect(result.output.range(of: row, options: .regularExpression) != nil, "\(row)")
    }
  }

  @Test func whatCannotBeKeptIsRefused() throws {
    try write("unit: site, clip_norm: 1, epsilon: 5, delta: 1.0e-5", clip: "2")
    try site.run(.encryptor, ["charter", "charter.yaml"])
      .expectRefusal(2, saying: "federation.fixed_point.update_clip is 2.0", program: .encryptor)
    try write("unit: record, clip_norm: 1, epsilon: 5, delta: 1.0e-5", local: "{epochs: 1}")
    try site.run(.encryptor, ["charter", "charter.yaml"])
      .expectRefusal(2, saying: "would follow from a site's rows", program: .encryptor)
    try write("unit: site, clip_norm: 1, epsilon: 1.0e-9, delta: 1.0e-12", local: "{full: true}")
    try site.run(.encryptor, ["charter", "charter.yaml", "--set", "federation.rounds=1000000"])
      .expectRefusal(2, saying: "no noise multiplier up to", program: .encryptor)
  }
}
