import Models
import LeakAudit
import Foundation
import Numerics
import Testing
import TestSupport

/// How long the attacks on rows take on 4,096 rows of 2,048 bits: run with ATTACK_TIMINGS=1 and in release.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["ATTACK_TIMINGS"] != nil), .serialized)
struct RowAttackTimings {
  private func views(
    group: SymmetryGroup, sigma: Double
  ) throws -> (SyntheticView, Evidence) {
    var random = SplitMix(seed: 1)
    // Bits that hang together: 64 hidden numbers decide each, which leaves a spectrum as fingerprints have.
    let all = SyntheticRows.correlatedBits(5120, 2048, hidden: 64, random: &random)
    let rows = all.slice(rows: 0..<4096)
    let key =
      group == .orthogonal
      ? try SyntheticView.rotation(2050, random: &random)
      : SyntheticView.permutation(2050, signed: false, random: &random)
    let noise = sigma > 0 ? GaussianNumbers.fill(rows.count, random: &random).map { $0 * sigma } : nil
    let made = SyntheticView(rows: rows, key: key, group: group, noise: noise)
    return (made, made.evidence(sample: all.slice(rows: 4096..<5120)))
  }

  private func run<A: Attack>(_ attack: A, group: SymmetryGroup, sigma: Double = 0) throws -> LeakAudit.Measurement {
    let (made, evidence) = try views(group: group, sigma: sigma)
    var random = SplitMix(seed: 2)
    let knowledge = try attack.knowledge(of: evidence, truth: made.truth, random: &random)
    let clock = ContinuousClock()
    let start = clock.now
    let before = ProcessorTime.ofThisProcess
    let claim = try attack.attempt(
      on: made.view, knowing: knowledge, random: &random, until: Deadline(after: .seconds(60)))
    let attempted = clock.now - start
    let used = ProcessorTime.ofThisProcess - before
    let measurement = attack.score(claim, truth: made.truth)
    print(
      "timing \(A.facts.title), \(group), sigma \(sigma): attempt \(attempted), of processors \(used) s, with score \(clock.now - start)"
    )
    print(measurement.value as Any, measurement.details.map { "\($0.name) \($0.value)" })
    if let curve = measurement.curve { print(curve.points.map { ($0.x, $0.y) }) }
    return measurement
  }

  @Test(arguments: [(SymmetryGroup.orthogonal, 0), (.orthogonal, 0.2), (.permutation, 0), (.permutation, 0.2)])
  func knownRows(group: SymmetryGroup, sigma: Double) throws {
    let found = try run(KnownRows(compute: Compute(threads: 2)), group: group, sigma: sigma)
    #expect(sigma > 0 || found.value != nil)
  }

  @Test(arguments: [SymmetryGroup.orthogonal, .permutation])
  func spectralAlignment(group: SymmetryGroup) throws {
    let found = try run(SpectralAlignment(compute: Compute(threads: 2)), group: group)
    #expect(found.value != nil)
  }

  @Test func sourceSeparation() throws {
    let found = try run(SourceSeparation(compute: Compute(threads: 2)), group: .orthogonal)
    #expect(found.value != nil)
  }
}
