import Cryptography
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import OwnerRole
import Protocol
import TestSupport
import Testing
import Training

/// A plan's steps as rounds, which fill short batches up, against a run of the same plan, which does not: the same weights and scores.
@Suite(.waiting) struct MaskedRoundsTests {
  private static let rows: [(name: String, job: SmallJob)] = [
    ("sgd", SmallJob()),
    (
      "clipped, nesterov, decay",
      SmallJob().changing { $0.optimizer = SmallJob.sgd(nesterov: true, decay: 0.01, clip: 0.5) }
    ),
    ("muon", SmallJob().changing { $0.optimizer = SmallJob.muon() }),
    ("adamw", SmallJob().changing { ($0.optimizer, $0.strength) = (SmallJob.adamw(), .permutation) }),
    ("regression with gaps", SmallJob().changing { ($0.task, $0.hasGaps) = (.regression, true) }),
    ("survival", SmallJob().changing { ($0.task, $0.microBatch) = (.survival, 8) }),
    ("in the clear", SmallJob().changing { $0.strength = .none }),
  ]

  /// 24 rows to train on, by sevens: the last batch of a pass has three.
  private static let tokens: [(name: String, job: TokenJob)] = [
    ("bert", TokenJob()),
    ("bert tags", TokenJob().changing { $0.task = .tokenClassification }),
    ("bert lora", TokenJob().changing { $0.train = TokenJob.lora(["query", "value"]) }),
    ("bert adamw", TokenJob().changing { ($0.optimizer, $0.strength) = (SmallJob.adamw(), .permutation) }),
    ("llama language model", TokenJob().changing { ($0.family, $0.task) = (.llama, .causalLanguageModel) }),
  ].map { name, job in (name, job.changing { $0.batch = 7 }) }

  @Test(arguments: rows.indices)
  func roundsOfRowsEqualARun(_ index: Int) throws {
    let site = try Site<Double>()
    try compare(Self.rows[index].job.resolved(on: site.data), at: site, Self.rows[index].name)
  }

  @Test(arguments: tokens.indices)
  func roundsOfTokensEqualARun(_ index: Int) throws {
    let site = try Site<Double>()
    try compare(
      Self.tokens[index].job.resolved(on: TokenData(in: site.directory)), at: site, Self.tokens[index].name)
  }

  private func compare(_ job: ResolvedJob, at site: Site<Double>, _ name: String) throws {
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try OwnedRun<Double>(job, keys: site.keys, in: site.directory.url("run"))
    try run.execute(on: site.network)
    let prepared = run.prepared
    let specifications = prepared.shape.structure.parameters.filter(\.isTrained)
    let initial = prepared.shape.startingWeights(secret: prepared.secret)
    let rounds = try rounds(of: prepared, initial: initial, at: site)
    let outcome = try rounds.train(
      steps: 0..<prepared.plan.totalSteps, from: try specifications.map { try initial.tensor($0) }
    ) { _, _ in }
    // The run's weights are files of float32; both sides' other rounding is that of double precision.
    let stored = try ModelDirectory(run.directory.model).weights(prepared.shape)
    for (found, specification) in zip(outcome.weights, specifications) {
      let expected: Tensor<Double> = try stored.tensor(specification)
      let largest = expected.elements.map { abs($0) }.max() ?? 0
      for (a, b) in zip(found.elements, expected.elements) {
        #expect(abs(a - b) <= 1e-6 * max(largest, 1e-3), "\(name): \(specification.name)")
      }
    }
    try compareScores(rounds, outcome, run, name)
  }

  /// What is added to gradients is added once, whatever the number of ranks.
  @Test(arguments: [1, 2, 3]) func roundsThatAreCorrectedOnSeveralRanks(_ ranks: Int) throws {
    func weights(ranks: Int?) throws -> [Tensor<Double>] {
      let site = try Site<Double>()
      let trainer = site.trainer(ranks: ranks)
      defer { trainer.shutDown() }
      let job = SmallJob().changing { $0.strength = .none }.resolved(on: site.data)
      let prepared = try PreparedJob(job: job, secret: OrderSecret(shared: Self.secret, seed: 3))
      let specifications = prepared.shape.structure.parameters.filter(\.isTrained)
      let initial = prepared.shape.startingWeights(secret: prepared.secret)
      let start: [Tensor<Double>] = try specifications.map { try initial.tensor($0) }
      let noise = NoiseSeed(Array(repeating: 7, count: 32)).map {
        StepPrivacy(clipNorm: 0.5, expectedBatch: 8, noiseMultiplier: 0.5, seed: $0)
      }
      let sampling = try PoissonSampling(
        secret: Self.secret, context: "test", rows: prepared.plan.trainingRows, expectedBatch: 8)
      let terms = RoundTerms(
        proximalStrength: 0.3, offsets: start.map { Tensor($0.elements.map { 0.1 - $0 }, shape: $0.shape) },
        privacy: noise.map { RoundPrivacy(sampling: sampling, steps: $0) })
      let rounds = try rounds(of: prepared, initial: initial, at: site)
      let whole = try rounds.train(steps: 0..<6, from: start, with: terms) { _, _ in }.weights
      // In the midst of the rows, from what was reached.
      return try rounds.train(steps: 6..<9, from: whole, with: terms) { _, _ in }.weights
    }
    let (one, several) = (try weights(ranks: nil), try weights(ranks: ranks))
    for (a, b) in zip(one, several) {
      // Sums in another order, of numbers of order 1, over nine steps.
      for (a, b) in zip(a.elements, b.elements) { #expect(abs(a - b) <= (ranks == 1 ? 0 : 1e-12)) }
    }
  }

  private static let secret = Array(repeating: UInt8(9), count: 32).withUnsafeBytes { SecretBuffer(copying: $0) }

  private func compareScores(
    _ rounds: MaskedRounds<Double>, _ outcome: MaskedRounds<Double>.Outcome, _ run: OwnedRun<Double>, _ name: String
  ) throws {
    let score = try #require(try rounds.evaluate(outcome.weights, progress: {}))
    let records = try run.history()
    for case .evaluation(_, run.prepared.plan.totalSteps, let loss, let metrics, _, _) in records {
      #expect(abs(score.lossSum / Double(max(1, score.observed)) - loss) <= 1e-9 * max(1, loss), "\(name)")
      #expect(score.metrics.valuesByName.keys == metrics.keys, "\(name)")
      for (metric, value) in metrics {
        #expect(
          abs((score.metrics.valuesByName[metric] ?? .nan) - value) <= 1e-9 * max(1, abs(value)), "\(name) \(metric)")
      }
    }
    // The mean of a batch is over its rows; of other tasks over tokens or entries, which only the run counts.
    guard run.prepared.job.task == .classification else { return }
    let plan = run.prepared.plan
    var sum = 0.0
    for case .step(let step, let loss, _, _, _) in records {
      sum += loss * Double(plan.range(ofBatch: step % plan.stepsPerEpoch).count)
    }
    #expect(abs(outcome.lossSum - sum) <= 1e-9 * sum, "\(name)")
  }

  private func rounds(
    of prepared: PreparedJob, initial: any PlaintextWeights, at site: Site<Double>
  ) throws -> MaskedRounds<Double> {
    let compute = Compute(threads: 1)
    let jobs = try RoundJobs(site.directory.url("rounds"), for: .random(), masking: prepared.job.masking)
    let keys = JobKeys<Double>(master: jobs.master, plan: prepared.shape.keyPlan, compute: compute)
    var times = PhaseTimes()
    let samples = try prepared.readSamples(
      keys: keys, master: jobs.master, noise: nil, standardization: nil, scratch: site.directory.url, times: &times,
      progress: { _, _ in }
    ).samples
    return MaskedRounds(
      prepared: prepared, keys: keys, samples: samples, initial: initial, jobs: jobs,
      channel: site.network.connect(site.keys.ownerKey),
      options: RunOptions(compute: compute, patience: .seconds(20), software: "test owner"), isInterrupted: { false },
      observe: { _ in })
  }
}
