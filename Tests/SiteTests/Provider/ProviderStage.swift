import Federation
import Foundation
import Masking
import OwnerRole
import TestSupport

@testable import SiteRole

/// A round of one site at a provider under a rule of local steps, in as many runs as are asked for, all of one key and one secret.
struct ProviderStage {
  enum Rule: CaseIterable, Sendable {
    case fedavg
    case fedprox
    case scaffold
    case schedule
    case privacyOfRecords
  }

  /// What a test leaves a round with.
  struct Elsewhere: Error {}

  let federation: SmallFederation
  private let rule: Rule

  init(_ rule: Rule) throws {
    self.rule = rule
    let updates = "{updates: 12}"
    federation =
      switch rule {
      case .fedavg: try SmallFederation(local: updates, standardize: "none")
      case .fedprox:
        try SmallFederation(local: updates, strategy: "{name: fedprox, mu: 0.4, weighting: rows}", hidden: "[3]")
      case .scaffold:
        try SmallFederation(local: updates, strategy: "{name: scaffold, weighting: rows}", hidden: "[3]")
      case .schedule: try SmallFederation(local: updates, hidden: "[3]", schedule: "{warmup: 0.7, decay: linear}")
      case .privacyOfRecords:
        // 2 rows of 32, so that some batches are empty.
        try PrivacyFixture.federation(
          unit: "record", privacy: "clip_norm: 0.4, epsilon: 4, delta: 1.0e-2", local: updates, strength: "rotation",
          hidden: "[3]", batch: 2)
      }
  }

  /// What nothing disturbed.
  func undisturbed() throws -> [UInt64] {
    let host = ProviderHost<Float>(federation.directory)
    defer { host.shutDown() }
    return try vector("first", host.provider(of: federation, 1))
  }

  /// A run of site 1, under the key that the first one drew if there was one.
  func work(_ run: String, resuming: Bool = false, _ provider: TrainingProvider) throws -> SiteWork {
    let work = try federation.work(
      1, secret: PrivacyFixture.secret(1), run: run, resuming: resuming, provider: provider, masking: "rotation")
    let key = "state/provider"
    let first = federation.runDirectory(1, run: "first").run.root.appending(path: key)
    let own = federation.runDirectory(1, run: run).run.root.appending(path: key)
    let manager = FileManager.default
    if manager.fileExists(atPath: first.path), !manager.fileExists(atPath: own.path) {
      try manager.createDirectory(at: own, withIntermediateDirectories: true)
      try manager.copyItem(at: first.appending(path: "job.key"), to: own.appending(path: "job.key"))
    }
    return work
  }

  /// A round of 2, from a model, and for scaffold from control variates of all sites, that are not zeros.
  func vector(
    _ work: SiteWork, round: Int = 1, progress: (Int, Int) throws -> Void = { _, _ in }
  ) throws -> [UInt64] {
    let start = try work.start()
    let controls = rule == .scaffold ? start.indices.map { 0.01 * Float($0 % 7) - 0.03 } : []
    return try work.entries(for: .update(round: round), model: start + controls, progress: progress)
  }

  func vector(
    _ run: String, resuming: Bool = false, _ provider: TrainingProvider,
    progress: (Int, Int) throws -> Void = { _, _ in }
  ) throws -> [UInt64] {
    try vector(work(run, resuming: resuming, provider), progress: progress)
  }
}
