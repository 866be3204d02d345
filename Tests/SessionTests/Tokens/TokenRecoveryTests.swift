import Models
import Files
import Foundation
import OwnerRole
import Numerics
import Testing
import TestSupport
import Protocol

/// Jobs on tokens end as they would have, whoever is killed and however many threads work.
@Suite(.waiting, .timeLimit(.minutes(10))) struct TokenRecoveryTests {
  static let jobs: [TokenJob] = [
    TokenJob().changing { ($0.optimizer, $0.keep) = (SmallJob.muon(), .best) },
    TokenJob().changing { ($0.family, $0.task, $0.loss) = (.llama, .causalLanguageModel, .trainer) },
    TokenJob().changing { $0.noise = 0.1 },
    TokenJob().changing { ($0.train, $0.accumulate, $0.recompute) = (TokenJob.lora(["query", "dense"]), 2, true) },
  ]

  private func run(_ job: TokenJob, in site: Site<Float>) throws -> OwnedRun<Float> {
    try OwnedRun(job.resolved(on: TokenData(in: site.directory)), keys: site.keys, in: site.directory.url("run"))
  }

  private func result(_ run: OwnedRun<Float>) throws -> Data {
    let full = run.directory.model.appending(path: "model.safetensors")
    let adapters = run.directory.model.appending(path: "adapter_model.safetensors")
    return try Data(contentsOf: FileManager.default.fileExists(atPath: full.path) ? full : adapters)
  }

  @Test(arguments: jobs.indices, [1, 2] as [UInt64])
  func ownerKilledAtRandomMoments(_ index: Int, _ seed: UInt64) throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try run(Self.jobs[index], in: site)
    let undisturbed = try site.undisturbed(run)
    var random = SplitMix(seed: seed)
    var kills = 0
    while kills < 10 {
      let life = Int.random(in: 1...(Self.jobs[index].loss == .owner ? 90 : 40), using: &random)
      do {
        try run.reopened().execute(over: MortalChannel(site.network.connect(site.keys.ownerKey), operations: life))
        break
      } catch TransportError.closed {
        kills += 1
      }
    }
    if kills == 10 { try run.reopened().execute(on: site.network) }
    #expect(kills > 0)
    #expect(try result(run) == result(undisturbed))
    #expect(try run.history() == undisturbed.history())
  }

  @Test(arguments: jobs.indices)
  func trainerKilledAtRandomMoments(_ index: Int) throws {
    let site = try Site<Float>()
    let run = try run(Self.jobs[index], in: site)
    let undisturbed = try site.undisturbed(run)
    let killer = TrainerKiller<Float>(
      site, seed: 3, kills: 3, messages: Self.jobs[index].loss == .owner ? 2...60 : 2...40)
    defer { killer.end() }
    try run.execute(over: site.network.connect(site.keys.ownerKey))
    #expect(killer.kills > 0)
    #expect(try result(run) == result(undisturbed))
    #expect(try run.history() == undisturbed.history())
  }

  @Test(arguments: jobs.indices)
  func anyNumberOfThreadsGivesTheSameBits(_ index: Int) throws {
    let site = try Site<Float>()
    let run = try run(Self.jobs[index], in: site)
    let one = try site.undisturbed(run, threads: 1)
    let three = try site.undisturbed(run, threads: 3)
    #expect(try result(one) == result(three))
    #expect(try one.history() == three.history())
  }
}
