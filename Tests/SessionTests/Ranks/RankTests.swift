import Models
import Foundation
import OwnerRole
import Numerics
import Testing
import TestSupport
import Protocol

/// Jobs whose batches several ranks share, which are threads here.
@Suite(.waiting, .timeLimit(.minutes(10))) struct RankTests {
  /// Batches of 8 in parts of 3, 3, 2; the last of an epoch shorter (36 training rows: 4).
  static let rows: [SmallJob] = [
    SmallJob().changing { ($0.optimizer, $0.activation) = (SmallJob.muon(clip: 0.5), .gelu) },
    SmallJob().changing { ($0.loss, $0.strength, $0.optimizer) = (.trainer, .permutation, SmallJob.adamw()) },
    SmallJob().changing { ($0.task, $0.hasGaps, $0.loss, $0.microBatch) = (.regression, true, .trainer, 2) },
    SmallJob().changing { ($0.keep, $0.microBatch, $0.optimizer) = (.best, 1, SmallJob.sgd(clip: 0.1)) },
  ]
  static let tokens: [TokenJob] = [
    TokenJob().changing { ($0.optimizer, $0.keep) = (SmallJob.muon(), .best) },
    TokenJob().changing { ($0.family, $0.task, $0.loss) = (.llama, .causalLanguageModel, .trainer) },
    TokenJob().changing { ($0.train, $0.accumulate, $0.recompute) = (TokenJob.lora(["query", "dense"]), 2, true) },
    TokenJob().changing { ($0.loss, $0.keep, $0.microBatch) = (.trainer, .best, 2) },
  ]

  private func run<Element>(_ index: Int, _ site: Site<Element>) throws -> OwnedRun<Element> {
    index < Self.rows.count
      ? try site.run(Self.rows[index])
      : try OwnedRun(
        Self.tokens[index - Self.rows.count].resolved(on: TokenData(in: site.directory)), keys: site.keys,
        in: site.directory.url("run"))
  }

  static let all = 0..<(rows.count + tokens.count)

  /// What the run left of its weights.
  private func result<Element>(_ run: OwnedRun<Element>) throws -> Data {
    let adapters = run.directory.model.appending(path: "adapter_model.safetensors")
    return FileManager.default.fileExists(atPath: adapters.path) ? try Data(contentsOf: adapters) : try run.model()
  }

  @Test(arguments: all) func oneRankGivesTheBitsOfNone(_ index: Int) throws {
    let site = try Site<Float>()
    let run = try run(index, site)
    let alone = try site.undisturbed(run)
    let one = try site.undisturbed(run, ranks: 1)
    #expect(try result(one) == result(alone))
    #expect(try one.history() == alone.history())
  }

  @Test(arguments: all) func sameRanksGiveTheSameBitsWithAnyNumberOfThreads(_ index: Int) throws {
    let site = try Site<Float>()
    let run = try run(index, site)
    let first = try site.undisturbed(run, ranks: 2)
    let second = try site.undisturbed(run, threads: 3, ranks: 2)
    #expect(try result(first) == result(second))
    #expect(try first.history() == second.history())
  }

  /// In `Double`, where sums in another order differ by 1e-16 of them and a run of 50 steps adds to that at most a thousandfold: a part that
  /// was forgotten or counted twice is a difference of a tenth.
  @Test(arguments: all, [2, 3]) func otherNumbersOfRanksGiveTheSameNumbers(_ index: Int, _ ranks: Int) throws {
    let site = try Site<Double>()
    let run = try run(index, site)
    let alone = try site.undisturbed(run).history()
    let several = try site.undisturbed(run, ranks: ranks).history()
    #expect(alone.count == several.count && !alone.isEmpty)
    for (one, other) in zip(alone, several) {
      switch (one, other) {
      case (.step(let s, let x, let r, let g, _), .step(let t, let y, let q, let h, _)):
        #expect(s == t && r == q)
        #expect(abs(x - y) <= 1e-9 * max(1, abs(x)) && abs(g - h) <= 1e-9 * max(1, abs(g)))
      case (.evaluation(let e, let s, let x, _, let k, _), .evaluation(let f, let t, let y, _, let l, _)):
        #expect(e == f && s == t && k == l && abs(x - y) <= 1e-9 * max(1, abs(x)))
      default: Issue.record("records of different kinds")
      }
    }
  }

  /// The owner is cut off again and again, and the same ranks go on each time.
  @Test(arguments: all, [1, 2] as [UInt64]) func ownerKilledAtRandomMoments(_ index: Int, _ seed: UInt64) throws {
    let site = try Site<Float>()
    let trainer = site.trainer(ranks: 2)
    defer { trainer.shutDown() }
    let run = try run(index, site)
    let undisturbed = try site.undisturbed(run, ranks: 2)
    var random = SplitMix(seed: seed)
    for _ in 0..<6 {
      do {
        try run.reopened().execute(
          over: MortalChannel(
            site.network.connect(site.keys.ownerKey), operations: Int.random(in: 1...90, using: &random)))
        break
      } catch TransportError.closed {}
    }
    if try run.reopened().state.phase != .finished { try run.reopened().execute(on: site.network) }
    #expect(try result(run) == result(undisturbed))
    #expect(try run.history() == undisturbed.history())
  }

  /// A rank dies while the job runs: the trainer saves, says goodbye and ends; another one on the same store goes on.
  @Test(arguments: all, [0.02, 0.1]) func aRankThatDiesEndsTheTrainerAndTheJobGoesOn(
    _ index: Int, _ seconds: Double
  ) throws {
    let site = try Site<Float>()
    let run = try run(index, site)
    let undisturbed = try site.undisturbed(run, ranks: 2)
    let first = site.trainer(ranks: 2)
    let killer = Thread {
      Thread.sleep(forTimeInterval: seconds)
      first.killRank(1)
    }
    killer.start()
    // Gone, unless it was done before.
    _ = try? run.reopened().execute(over: site.network.connect(site.keys.ownerKey), patience: .zero)
    first.killRank(1)
    #expect(first.events.failures == [])
    let second = site.trainer(ranks: 2)
    defer { second.shutDown() }
    if try run.reopened().state.phase != .finished { try run.reopened().execute(on: site.network) }
    #expect(try result(run) == result(undisturbed))
    #expect(try run.history() == undisturbed.history())
  }

  @Test func aTrainerThatStopsTakesItsRanksAlong() throws {
    let site = try Site<Float>()
    let trainer = site.trainer(ranks: 3)
    try site.run(SmallJob().changing { $0.microBatch = 2 }).execute(on: site.network)
    trainer.shutDown()
    #expect(trainer.events.finished == 1)
  }

  @Test func moreRanksThanMicroBatches() throws {
    let site = try Site<Float>()
    let trainer = site.trainer(ranks: 4)
    defer { trainer.shutDown() }
    let run = try site.run(SmallJob())
    let error = #expect(throws: (any Error).self) { try run.execute(on: site.network) }
    let text = "\(error.map { "\($0)" } ?? "")"
    #expect(text.contains("runs on 4 ranks, and a batch of the job has only 3 micro-batches"))
    #expect(text.contains("make train.micro_batch at most 2"))
    try site.run(SmallJob().changing { $0.microBatch = 2 }, name: "advised").execute(on: site.network)
  }

  /// It was admitted by fewer ranks, and the trainer was started again with more: those without a part add zeros.
  @Test(arguments: [LossLocation.owner, .trainer])
  func ranksThatCanHaveNoPartGoOnWithAStoredJob(_ loss: LossLocation) throws {
    let site = try Site<Double>()
    let run = try site.run(SmallJob().changing { ($0.loss, $0.epochs) = (loss, 4) })
    let alone = try site.undisturbed(run)
    let first = site.trainer(ranks: 2)
    _ = try? run.execute(over: MortalChannel(site.network.connect(site.keys.ownerKey), operations: 30))
    first.shutDown()
    let second = site.trainer(ranks: 5)
    defer { second.shutDown() }
    try run.reopened().execute(on: site.network)
    for (one, other) in zip(try alone.history(), try run.history()) {
      guard case .step(let s, let x, _, let g, _) = one, case .step(let t, let y, _, let h, _) = other else { continue }
      #expect(s == t && abs(x - y) <= 1e-9 * max(1, abs(x)) && abs(g - h) <= 1e-9 * max(1, abs(g)))
    }
  }
}
