import Cryptography
import Federation
import Foundation
import Foundations
import Numerics
import TestSupport

@testable import Masking
@testable import SiteRole

/// A federation of linear or small models under privacy, with secrets that the tests know.
enum PrivacyFixture {
  /// - Parameters:
  ///   - unit: of `federation.privacy`.
  ///   - privacy: its other keys.
  static func federation(
    unit: String, privacy: String = "clip_norm: 0.05, epsilon: 20, delta: 1.0e-5", rows: [Int] = [17, 40, 9],
    rounds: Int = 2, local: String = "{updates: 3}", strategy: String = "{name: fedavg, weighting: equal}",
    strength: String = "none", aggregation: String = "secure", hidden: String = "[]", batch: Int = 4,
    updateClip: Double = 64
  ) throws -> SmallFederation {
    try SmallFederation(
      rows: rows, rounds: rounds, local: local, strategy: strategy, strength: strength, aggregation: aggregation,
      hidden: hidden, batch: batch, updateClip: updateClip, settings: ["privacy: {unit: \(unit), \(privacy)}"])
  }

  /// Of site `site`: 32 bytes that say so.
  static func secret(_ site: Int) -> PrivacySecret {
    PrivacySecret(secret: Array(repeating: UInt8(site + 1), count: 32).withUnsafeBytes { SecretBuffer(copying: $0) })
  }

  static func ledger(_ federation: SmallFederation, site: Int) throws -> [String] {
    try String(contentsOf: federation.runDirectory(site).ledger, encoding: .utf8).split(separator: "\n").map(
      String.init)
  }

  static func entries(_ federation: SmallFederation, site: Int) throws -> [PrivacyLedger.Entry] {
    try ledger(federation, site: site).dropFirst().map {
      try JSONDecoder().decode(PrivacyLedger.Entry.self, from: Data($0.utf8))
    }
  }

  /// Standard normal numbers of a label under a round's secret, drawn one substream after the other.
  ///
  /// - Parameter model: hash of the round's model, hexadecimal.
  static func normals(
    _ count: Int, _ federation: SmallFederation, site: Int, round: Int, model: String, label: String
  ) -> [Double] {
    let derived = secret(site).derived(
      "charter \(federation.plan.digest.hexadecimal)/site site\(site)/round \(round)/model \(model)")
    let streams = KeyStream(secret: derived, label: "noise/\(label)").substreams()
    return stride(from: 0, to: count, by: 4096).flatMap { first in
      var numbers = [Double](repeating: 0, count: min(4096, count - first))
      numbers.withUnsafeMutableBufferPointer { streams(first / 4096).fillLongTailedGaussian($0) }
      return numbers
    }
  }
}
