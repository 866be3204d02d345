import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import Privacy
import Protocol
import TestSupport
import Testing
import Training

@testable import OwnerRole
@testable import TrainerRole

/// Whole private jobs: an owner that draws batches, a trainer that clips and noises masked gradients.
@Suite(.waiting, .timeLimit(.minutes(10))) struct PrivateJobTests {
  /// 35 rows are trained on, 2 in a step on average: 36 steps, of which about every seventh has no rows.
  static let job = SmallJob().changing {
    ($0.batch, $0.microBatch, $0.epochs) = (2, 2, 2)
    $0.privacy = PrivacyTarget(unit: .record, clipNorm: 0.5, epsilon: 8, delta: 1e-3)
    $0.checkpointEverySteps = 5
  }

  static let jobs: [(name: String, job: SmallJob)] = [
    ("rotation, tanh", job.changing { $0.activation = .tanh }),
    ("rotation, relu, regression with gaps", job.changing { ($0.task, $0.hasGaps) = (.regression, true) }),
    (
      "permutation, gelu, multilabel, larger batches",
      job.changing {
        ($0.task, $0.strength, $0.activation) = (.multilabel, .permutation, .gelu)
        ($0.batch, $0.microBatch) = (9, 4)
      }
    ),
    ("nothing masked", job.changing { ($0.strength, $0.padding) = (.none, 0) }),
    ("muon, an adapter", job.changing { ($0.optimizer, $0.adapter, $0.padding) = (SmallJob.muon(), 4, 0) }),
    (
      "adamw, permutation, noised rows",
      job.changing {
        ($0.optimizer, $0.strength, $0.noise) = (SmallJob.adamw(), .permutation, 0.2)
      }
    ),
  ]

  /// The noise that the trainer adds, unmasked and laid out as the reference has its parameters: [W | b] of the first layer without the padding's
  /// columns, then W and b of each further one.
  private func noise(of run: OwnedRun<Double>) throws -> (Int) throws -> [[Double]] {
    let prepared = try run.prepared.drawn(from: run.master)
    let correction: (any GradientCorrection<Double>) = try #require(
      try prepared.description.correction(nil, workers: Workers(threads: 1)))
    let keys = JobKeys<Double>(master: run.master, plan: prepared.shape.keyPlan, compute: Compute(threads: 1))
    let parameters = prepared.shape.structure.parameters
    return { step in
      try parameters.enumerated().map { number, specification in
        var drawn = Tensor<Double>(zeros: specification.shape)
        drawn.withUnsafeMutableBufferPointer {
          correction.add(number, step: step, weights: UnsafeBufferPointer($0), to: $0)
        }
        let plain = try keys.unmaskParameter(drawn, specification)
        guard let layout = specification.homogeneous else { return plain.elements }
        return (0..<plain.rows).flatMap { row in (0...layout.features).map { plain[row, $0] } }
      }
    }
  }

  private func noising(_ run: OwnedRun<Double>) -> ([Float], Int) throws -> [Float] {
    guard let noise = InputNoise(run.prepared.job.masking, master: run.master, for: .training) else {
      return { row, _ in row }
    }
    let slots = run.prepared.plan.rowOfSlot
    return { row, number in
      let slot = try #require(slots.firstIndex(of: Int32(number)))
      var noised = Tensor(row, shape: [1, row.count])
      try noise.add(to: &noised, numbers: [Int32(slot)], workers: Workers(threads: 1))
      return noised.elements
    }
  }

  @Test(arguments: jobs.indices) func `Masked, the weights are those of loops over single rows with the noise unmasked`(
    _ index: Int
  ) throws {
    let site = try Site<Double>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(Self.jobs[index].job)
    let report = try #require(try run.execute(on: site.network))
    let plain = try PlaintextRun(
      run.directory, job: run.prepared.job, data: site.data, noising: noising(run), noise: try noise(of: run))
    // As `ExactnessTests`: some 40 steps of noise that no optimizer contracts leave rounding below 1e-12.
    #expect(try plain.largestRelativeDifference(to: run.directory) <= 1e-10)
    var losses: [Double] = []
    for case .step(_, let loss, _, _, _) in try run.history() { losses.append(loss) }
    #expect(losses.count == plain.losses.count)
    #expect(zip(losses, plain.losses).allSatisfy { abs($0 - $1) <= 1e-10 })
    // The reference must be able to see the noise.
    let clean = try PlaintextRun(run.directory, job: run.prepared.job, data: site.data, noising: noising(run))
    #expect(try clean.largestRelativeDifference(to: run.directory) > 1e-3)
    // What was spent is what was asked for.
    let privacy = try #require(report.privacy)
    #expect(privacy.steps == losses.count)
    #expect(privacy.epsilon <= 8 && privacy.epsilon > 7.9)
    let file = try JSONDecoder().decode(JobPrivacyReport.self, from: Data(contentsOf: run.directory.privacy))
    #expect(file == privacy)
  }

  @Test func `Batches are of every size, none included, and not those of the seed`() throws {
    let site = try Site<Double>()
    let run = try site.run(Self.job)
    func sizes(_ prepared: PreparedJob) throws -> [[Int32]] {
      var batches = PlannedBatches(prepared.plan)
      return try (0..<36).map { Array(try batches.slots(ofStep: $0)) }
    }
    let drawn = try sizes(run.prepared.drawn(from: run.master))
    #expect(drawn.contains(where: \.isEmpty) && drawn.contains { $0.count > 2 })
    #expect(try sizes(run.reopened().prepared.drawn(from: run.master)) == drawn)
    #expect(try sizes(run.prepared.drawn(from: MasterKey(for: run.state.job))) != drawn)
    #expect(try sizes(run.reopened().prepared) != drawn)
  }

  private func expectEqual(_ run: OwnedRun<Float>, _ undisturbed: OwnedRun<Float>) throws {
    #expect(try run.model() == undisturbed.model())
    #expect(try run.history() == undisturbed.history())
    #expect(try Data(contentsOf: run.directory.privacy) == Data(contentsOf: undisturbed.directory.privacy))
    #expect(try Data(contentsOf: run.directory.ledger) == Data(contentsOf: undisturbed.directory.ledger))
    let lines = try String(contentsOf: run.directory.ledger, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 37)
    for (step, line) in lines.dropFirst().enumerated() { #expect(line == #"{"kind":"step","step":\#(step)}"#) }
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func `An owner that is killed ends with the same bits, and counts no step twice`(
    _ seed: UInt64
  ) throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(Self.job)
    let undisturbed = try site.undisturbed(run)
    var random = SplitMix(seed: seed)
    var kills = 0
    while kills < 12 {
      do {
        try run.reopened().execute(
          over: MortalChannel(
            site.network.connect(site.keys.ownerKey), operations: Int.random(in: 1...90, using: &random)))
        break
      } catch TransportError.closed {
        kills += 1
      }
    }
    if kills == 12 { try run.reopened().execute(on: site.network) }
    #expect(kills > 0)
    try expectEqual(run, undisturbed)
  }

  @Test(arguments: [1, 2] as [UInt64]) func `A trainer that is killed ends with the same bits`(_ seed: UInt64) throws {
    let site = try Site<Float>()
    let run = try site.run(Self.job)
    let undisturbed = try site.undisturbed(run)
    let killer = TrainerKiller<Float>(site, seed: seed, kills: 3, messages: 2...60)
    defer { killer.end() }
    try run.execute(over: site.network.connect(site.keys.ownerKey))
    #expect(killer.kills > 0)
    try expectEqual(run, undisturbed)
  }

  @Test func `Ranks share private steps`() throws {
    let site = try Site<Double>()
    let run = try site.run(Self.job.changing { ($0.batch, $0.microBatch) = (8, 2) })
    let alone = try site.undisturbed(run)
    let one = try site.undisturbed(run, ranks: 1)
    #expect(try one.model() == alone.model())
    for ranks in [2, 3] {
      let several = try site.undisturbed(run, threads: ranks, ranks: ranks)
      for (one, other) in zip(try alone.history(), try several.history()) {
        guard case .step(let s, let x, _, let g, _) = one, case .step(let t, let y, _, let h, _) = other else {
          continue
        }
        // Sums in another order, as in `RankTests`.
        #expect(s == t && abs(x - y) <= 1e-9 * max(1, abs(x)) && abs(g - h) <= 1e-9 * max(1, abs(g)))
      }
    }
  }

  static let tokens: [(name: String, job: TokenJob)] = [
    ("bert lora", TokenJob().changing { $0.train = TokenJob.lora(["query", "value"]) }),
    ("bert head", TokenJob().changing { $0.train = .head }),
    (
      "bert tags, lora",
      TokenJob().changing {
        ($0.task, $0.train) = (.tokenClassification, TokenJob.lora(["query", "dense"]))
      }
    ),
    ("llama lora", TokenJob().changing { ($0.family, $0.train) = (.llama, TokenJob.lora(["q_proj", "up_proj"])) }),
    ("llama language model", TokenJob().changing { ($0.family, $0.task) = (.llama, .causalLanguageModel) }),
  ].map { example in
    (
      example.0,
      example.1.changing {
        $0.optimizer = SmallJob.sgd(rate: 0.05)
        $0.privacy = PrivacyTarget(unit: .record, clipNorm: 0.2, epsilon: 8, delta: 1e-3)
        ($0.batch, $0.microBatch) = (4, 2)
      }
    )
  }

  @Test(arguments: tokens.indices) func `Transformers train privately, and clip under masks as in plaintext`(
    _ index: Int
  ) throws {
    let site = try Site<Double>()
    let trainer = site.trainer(ranks: 2)
    defer { trainer.shutDown() }
    let job = try Self.tokens[index].job.resolved(on: TokenData(in: site.directory))
    let run = try OwnedRun<Double>(job, keys: site.keys, in: site.directory.url("run"))
    let difference = try Verification<Double>(prepared: run.prepared, compute: Compute(threads: 1))
      .largestRelativeDifference(steps: 12) { _, _ in }
    #expect(difference < 1e-10)
    let report = try #require(try run.execute(on: site.network))
    #expect(report.privacy?.steps == report.steps)
  }
}

/// `encryptor verify` of a private job.
@Suite(.waiting) struct PrivateVerificationTests {
  /// The weights that a trainer made with the noise of its own engine, beside those of a verification's masked run with the noise drawn here.
  @Test func `It trains with the noise that a trainer adds, and finds a plaintext twin`() throws {
    let site = try Site<Double>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(PrivateJobTests.job)
    try run.execute(on: site.network)
    let prepared = try run.prepared.drawn(from: run.master)
    let compute = Compute(threads: 1)
    let source = try VerificationSource<Double>(prepared, compute: compute)
    let noise = try #require(VerifiedNoise<Double>(prepared, workers: compute.workers))
    let specifications = prepared.shape.structure.parameters
    func trained(noised: Bool) throws -> [Tensor<Double>] {
      let masked = try VerifiedRun<Double>(
        prepared, plan: prepared.shape.keyPlan, source: source, master: run.master, compute: compute)
      let plain = try VerifiedRun<Double>(prepared, plan: prepared.identityPlan(), source: source, compute: compute)
      var batches = PlannedBatches(prepared.plan)
      for step in 0..<prepared.plan.totalSteps {
        let slots = try batches.slots(ofStep: step)
        let carried = try noise.carried(step, from: masked.keys, to: plain.keys)
        try plain.step(slots, epoch: 0, correction: noised ? carried : nil)
      }
      return try zip(plain.maskedWeights, specifications).map { try plain.keys.unmaskParameter($0, $1) }
    }
    let stored = try ModelDirectory(run.directory.model).weights(prepared.shape)
    func difference(_ weights: [Tensor<Double>]) throws -> Double {
      try zip(weights, specifications).map { own, specification in
        let theirs: Tensor<Double> = try stored.tensor(specification)
        // Under the padding the trainer's noise stays, and reaches nothing.
        let columns = specification.homogeneous.map { ($0.features + 1, own.columns) }
        let places = own.elements.indices.filter { place in columns.map { place % $0.1 < $0.0 } ?? true }
        return places.map { abs(own[$0] - theirs[$0]) }.max() ?? 0
      }.max() ?? 0
    }
    // As `PrivateJobTests`, and the model is kept as floats.
    #expect(try difference(trained(noised: true)) < 1e-6)
    #expect(try difference(trained(noised: false)) > 1e-3)
    let found = try Verification<Double>(prepared: prepared, compute: compute).largestRelativeDifference(steps: 36) {
      _, _ in
    }
    #expect(found < 1e-10)
  }
}

/// What a private job is refused for, on the owner's side.
@Suite(.waiting) struct PrivateJobRefusalTests {
  private func expect(_ words: String, _ change: (inout SmallJob) -> Void) throws {
    let site = try Site<Float>()
    let error = #expect(throws: (any Error).self) { try site.run(PrivateJobTests.job.changing(change)) }
    #expect("\(error.map { "\($0)" } ?? "")".contains(words), "\(String(describing: error))")
  }

  @Test func `More rows in a batch than there are`() throws {
    try expect("is more than the 35 rows that are trained on") { ($0.batch, $0.microBatch) = (36, 4) }
  }

  @Test func `An ε that no noise keeps to`() throws {
    try expect("ε") {
      $0.privacy = PrivacyTarget(unit: .record, clipNorm: 1, epsilon: 1e-12, delta: 1e-300)
    }
  }

  @Test func `A trained layer norm by its name`() throws {
    let site = try Site<Float>()
    let job = try TokenJob().changing {
      $0.optimizer = SmallJob.sgd()
      $0.privacy = PrivateJobTests.job.privacy
    }.resolved(on: TokenData(in: site.directory))
    let error = #expect(throws: OwnerError.self) {
      try OwnedRun<Float>(job, keys: site.keys, in: site.directory.url("run"))
    }
    #expect(error?.description.contains("bert.encoder.layer.0.attention.output.LayerNorm") == true)
    #expect(error?.description.contains("lora") == true)
  }
}
