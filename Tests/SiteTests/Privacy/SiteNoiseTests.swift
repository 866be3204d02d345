import Federation
import Foundation
import Foundations
import JobSpec
import Models
import Numerics
import OwnerRole
import Privacy
import SecureSums
import TestSupport
import Testing

@testable import SiteRole

/// `unit: site`: whole updates, clipped and noised, against loops in double precision with the noise drawn again from the secret.
@Suite struct SiteNoiseTests {
  /// A site's update of round 0 of a linear model, clipped, without noise.
  private func clipped(
    _ federation: SmallFederation, site: Int, start: [Double], clip: Double
  ) throws -> [Double] {
    let place = SiteDirectory(root: federation.directory.url("oracle\(site)"))
    try place.open(federation.plan, site: site, resuming: false)
    let work = try SiteWork(
      plan: federation.plan, site: site, data: federation.data(site), group: federation.usedGroup, directory: place,
      compute: Compute(threads: 1))
    let training = try #require(try work.localTraining() as? LocalTraining<Float>)
    let (features, targets) = federation.values(of: site)
    var model = start
    for step in 0..<3 {
      let rows = try training.rows(ofStep: step)
      var gradient = [0.0, 0, 0, 0]
      for row in rows.map({ Int($0) }) {
        let output = zip(model, features[row]).reduce(model[3]) { $0 + $1.0 * $1.1 }
        let slope = 2 * (output - targets[row]) / Double(rows.count)
        for column in 0..<3 { gradient[column] += slope * features[row][column] }
        gradient[3] += slope
      }
      for place in 0..<4 { model[place] -= 0.05 * gradient[place] }
    }
    let update = zip(model, start).map { $0 - $1 }
    let norm = update.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return update.map { $0 * min(1, clip / norm) }
  }

  /// The starting model of everybody, in the clear: [W | b].
  private func start(_ federation: SmallFederation) throws -> [Double] {
    let shape = try federation.data(0).prepared.shape
    let tensor: Tensor<Double> = try shape.startingWeights(
      secret: PreparedSite.startingSecret(federation.plan, federation.usedGroup)
    ).tensor(shape.structure.parameters[0])
    return Array(tensor.elements[..<4])
  }

  /// σ · C / √(fewest sites whose noise counts).
  private func deviation(_ federation: SmallFederation, clip: Double, noisySites: Double) throws -> Double {
    let plan = try #require(try PrivacyPlan(federation.plan.charter, trainingRows: 0))
    return plan.mechanism.noiseMultiplier * clip / noisySites.squareRoot()
  }

  /// Steps of an update of norm about 0.3 and one that needs no clipping.
  @Test(arguments: [0.05, 20])
  func `An upload is the clipped update and this site's share of the noise, and nothing else`(
    clip: Double
  ) throws {
    let federation = try PrivacyFixture.federation(
      unit: "site", privacy: "clip_norm: \(clip), epsilon: 50, delta: 1.0e-5", updateClip: 4096)
    let work = try federation.work(0, secret: PrivacyFixture.secret(0))
    let model = try work.start()
    let purpose = SumPurpose.update(round: 0)
    let format = try work.format(of: purpose)
    #expect(format.blocks.map(\.name) == ["update"] && format.count == 4)
    let found = try format.decode(try work.entries(for: purpose, model: model) { _, _ in }, block: "update")
    let update = try clipped(federation, site: 0, start: try start(federation), clip: clip)
    let noise = PrivacyFixture.normals(
      4, federation, site: 0, round: 0, model: ModelHash.of(model).hexadecimal, label: "site update/parameter 0")
    let deviation = try deviation(federation, clip: clip, noisySites: 2)
    for place in 0..<4 {
      let expected = update[place] + deviation * noise[place]
      // Three steps in single precision of numbers of order 1; then a float, and 2⁻⁴¹ or less of the fixed point.
      #expect(abs(found[place] - expected) <= 1e-6 + abs(expected) * 0x1p-23)
    }
  }

  @Test(arguments: ["none", "rotation"])
  func `The mean of a secure sum is that of clipped updates and of all sites' noise`(
    strength: String
  ) throws {
    let federation = try PrivacyFixture.federation(unit: "site", rounds: 1, strength: strength)
    for result in try federation.run(secrets: federation.rows.indices.map(PrivacyFixture.secret)) {
      _ = try result.get()
    }
    let start = try start(federation)
    let deviation = try deviation(federation, clip: 0.05, noisySites: 2)
    var expected = start
    for site in federation.rows.indices {
      let update = try clipped(federation, site: site, start: start, clip: 0.05)
      let hash = try #require(try PrivacyFixture.entries(federation, site: site).first).model
      let noise = PrivacyFixture.normals(
        4, federation, site: site, round: 0, model: hash, label: "site update/parameter 0")
      for place in 0..<4 { expected[place] += (update[place] + deviation * noise[place]) / 3 }
    }
    for site in federation.rows.indices {
      // Single precision under masks: units in the last place of numbers of order 1.
      for (a, b) in zip(try federation.weights(site: site), expected) { #expect(abs(a - b) <= 2e-6) }
    }
  }

  /// Sites, threshold, minimum and colluders; whether shares of noise then stand.
  @Test(arguments: [
    // Two lists of survivors need 2t signatures: four sites that sign twice and five others make no 14, five and four do.
    (9, 7, 7, 4, true), (9, 7, 7, 5, false), (9, 5, 5, 1, false), (9, 5, 5, 0, true), (9, 6, 5, 2, true),
    (9, 6, 5, 3, false),
    // All but one in a sum: nobody counts on another's noise.
    (9, 5, 5, 4, true), (9, 7, 7, 6, true), (3, 3, 2, 1, true),
  ]) func `More colluders than the sums bear against an aggregator that lies are refused`(
    sites: Int, threshold: Int, minimum: Int, colluders: Int, isAccepted: Bool
  ) throws {
    func make(_ threshold: Int) throws {
      _ = try SmallFederation(
        rows: Array(repeating: 10, count: sites), strategy: "{name: fedavg, weighting: equal}", strength: "none",
        participation: "{minimum: \(minimum)}",
        settings: [
          "threshold: \(threshold)",
          "privacy: {unit: site, clip_norm: 1, epsilon: 3, delta: 1.0e-5, colluders: \(colluders)}",
        ])
    }
    // By its definition: lists of t signatures each, of which colluders give two and every other site one.
    let isOneList = colluders + sites < 2 * threshold
    #expect((isOneList || colluders == minimum - 1) == isAccepted)
    guard !isAccepted else { return try make(threshold) }
    let error = #expect(throws: FederationError.self) { try make(threshold) }
    let advice = try #require(error?.description.firstMatch(of: /raise federation.threshold to ([0-9]+),/)).1
    let raised = try #require(Int(advice))
    // As far as the advice says, and no further.
    try make(raised)
    #expect(throws: FederationError.self) { try make(raised - 1) }
  }

  /// R rounds of one Gaussian mechanism are one with σ/√R; its ε is in closed form (Balle & Wang, 2018, theorem 8).
  @Test func `The noise multiplier is that of the analytic Gaussian mechanism over all rounds`() throws {
    let federation = try PrivacyFixture.federation(
      unit: "site", privacy: "clip_norm: 1, epsilon: 3, delta: 1.0e-5, colluders: 1", rounds: 7, updateClip: 4096)
    let plan = try #require(try PrivacyPlan(federation.plan.charter, trainingRows: 0))
    #expect(plan.mechanism.sampleRate == 1 && plan.mechanism.steps == 7 && plan.noisySites == 1)
    #expect(try plan.ownDeviation == plan.mechanism.noiseMultiplier)
    func delta(_ sigma: Double) -> Double {
      let s = sigma / 7.0.squareRoot()
      let (near, far) = (1 / (2 * s) - 3 * s, -1 / (2 * s) - 3 * s)
      return erfc(-near / 2.0.squareRoot()) / 2 - exp(3) * erfc(-far / 2.0.squareRoot()) / 2
    }
    #expect(delta(plan.mechanism.noiseMultiplier) <= 1e-5)
    // 0.001 of δ goes to the grid, and 1e-4 is the search's tolerance.
    #expect(delta(plan.mechanism.noiseMultiplier * 0.998) > 1e-5)
  }

  @Test(arguments: [(1, 1), (2000, 10), (11_000_000, 500)])
  func `The clip that is asked for holds all noise of the run but for one chance in a billion`(
    entries: Int, rounds: Int
  ) throws {
    let federation = try PrivacyFixture.federation(unit: "site", rounds: rounds, updateClip: 4096)
    let plan = try #require(
      try PrivacyPlan(federation.plan.charter, trainingRows: 0, noiseMultiplier: 10))
    let least = try plan.leastUpdateClip(entries: entries, sites: 3)
    let deviations = (least - 0.05) / (10 * 0.05 / 2.0.squareRoot())
    let chance = 3 * Double(entries) * Double(rounds) * erfc(deviations / 2.0.squareRoot())
    #expect(chance < 1e-9)
    // And hardly more than that: a tenth less would not.
    #expect(3 * Double(entries) * Double(rounds) * erfc(0.9 * deviations / 2.0.squareRoot()) > 1e-9)
  }

  @Test func `A clip that does not hold update and noise is refused before the site joins, with one that does`() throws
  {
    let federation = try PrivacyFixture.federation(unit: "site", updateClip: 0.06)
    let error = #expect(throws: SiteError.self) { try federation.work(0) }
    guard case .privacy(let text)? = error, let number = text.firstMatch(of: /needs ([0-9.]+);/)?.1,
      let clip = Double(number)
    else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(text.contains("federation.fixed_point.update_clip is 0.06"))
    _ = try PrivacyFixture.federation(unit: "site", updateClip: clip).work(0)
    #expect(throws: SiteError.self) { try PrivacyFixture.federation(unit: "site", updateClip: clip * 0.98).work(0) }
  }
}
