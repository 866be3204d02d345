import Foundation
import JobSpec
import Masking
import Models
import OwnerRole
import Privacy
import Protocol
import TestSupport
import Testing

/// What keeps the noise of a private run to one job on one set of rows, and its steps counted.
@Suite(.waiting, .timeLimit(.minutes(10))) struct PrivateLedgerTests {
  private func privacy(of run: OwnedRun<Float>) throws -> JobPrivacy {
    try #require(try run.prepared.drawn(from: run.master).privacy)
  }

  /// A run of which some steps are done: its owner was killed.
  private func begun(_ site: Site<Float>) throws -> OwnedRun<Float> {
    let run = try site.run(PrivateJobTests.job)
    #expect(throws: TransportError.closed) {
      try run.execute(over: MortalChannel(site.network.connect(site.keys.ownerKey), operations: 60))
    }
    #expect(try RunState.load(run.directory).phase == .training)
    #expect(try StepLedger(run.directory, privacy(of: run), isBegun: true).steps > 0)
    return try run.reopened()
  }

  private func expectRefusal(_ words: String, _ work: () throws -> Void) {
    let error = #expect(throws: OwnerError.self) { try work() }
    #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    guard case .run = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  /// A step is in the ledger, on the disk, before anything that depends on its rows leaves: a gradient, or that it has none.
  @Test func `No gradient leaves before its step is in the ledger`() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(PrivateJobTests.job)
    let ledger = run.directory.ledger
    let late = Flag()
    site.network.setFault { transit in
      if case .toServer = transit.direction,
        let message = try? MessageCodec<Float>().ownerMessage(transit.message).message
      {
        let step: Int? =
          switch message {
          case .gradient(let step, _, _): step
          case .step(let step, 0): step
          default: nil
          }
        if let step {
          let text = (try? String(contentsOf: ledger, encoding: .utf8)) ?? ""
          if !text.contains(#""step":\#(step)}"#) { late.raise() }
        }
      }
      return [transit.message]
    }
    try run.execute(on: site.network)
    #expect(!late.isRaised)
  }

  @Test func `A ledger of other steps, with a gap or with nonsense is refused`() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(PrivateJobTests.job)
    try run.execute(on: site.network)
    let whole = try String(contentsOf: run.directory.ledger, encoding: .utf8)
    for (from, to, words) in [
      (#""sample_rate":0."#, #""sample_rate":0.1"#, "another noise"), (#""step":7"#, #""step":8"#, "lacks step 7"),
      (#"{"kind":"step","step":3}"#, "nonsense", "not of a ledger"),
    ] {
      try Data(whole.replacing(from, with: to).utf8).write(to: run.directory.ledger)
      let error = #expect(throws: OwnerError.self) {
        _ = try StepLedger(run.directory, try privacy(of: run), isBegun: true)
      }
      #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }
  }

  /// Another version's accountants may find another σ, which keeps to ε too.
  @Test func `A run goes on with the noise of its ledger, whatever this version would find`() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let job = PrivateJobTests.job.resolved(on: site.data)
    let secret = OrderSecret(owner: site.keys, seed: job.train.seed)
    let own = try #require(try PreparedJob(job: job, secret: secret).privacy?.noiseMultiplier)
    let other = try OwnedRun<Float>(
      job, keys: site.keys, in: site.directory.url("run"), noiseMultiplier: own * 1.01)
    let whole = try site.undisturbed(other)
    #expect(throws: TransportError.closed) {
      try other.execute(over: MortalChannel(site.network.connect(site.keys.ownerKey), operations: 60))
    }
    let kept = try #require(try StepLedger.noiseMultiplier(of: other.directory))
    #expect(kept == own * 1.01)
    // With the noise found anew it is another run's ledger.
    let anew = try OwnedRun<Float>(reopening: other.directory.root, job, keys: site.keys)
    expectRefusal("another noise") { try anew.execute(on: site.network) }
    try other.reopened().execute(on: site.network)
    #expect(try other.model() == whole.model())
    let report = try #require(try RunFile.read(JobPrivacyReport.self, from: other.directory.privacy))
    #expect(report.noiseMultiplier == kept && report.epsilon < 8)
    // Too little noise is not taken from a file either.
    expectRefusal("with the noise of its ledger, more than the job's 8") {
      _ = try PreparedJob(job: job, secret: secret, noiseMultiplier: own * 0.9)
    }
  }

  /// A prepared job's secrets under one key, as text to compare.
  private func secrets(_ job: ResolvedJob, _ keys: CurveKeyPair, _ master: MasterKey) throws -> [String] {
    let prepared = try PreparedJob(job: job, secret: OrderSecret(owner: keys, seed: job.train.seed)).drawn(from: master)
    let seed = try #require(prepared.description.privacy?.seed)
    var batches = PlannedBatches(prepared.plan)
    return [
      seed.withBytes { "\(Array($0))" }, "\(try (0..<36).map { Array(try batches.slots(ofStep: $0)) })",
      try #require(prepared.privacy?.subject),
    ]
  }

  private static let changes: [(name: String, change: @Sendable (inout SmallJob) -> Void)] = [
    ("learning rate", { $0.optimizer = SmallJob.sgd(rate: 0.11) }),
    ("activation", { $0.activation = .tanh }),
    ("clip norm", { $0.privacy = PrivacyTarget(unit: .record, clipNorm: 0.6, epsilon: 8, delta: 1e-3) }),
    ("ε", { $0.privacy = PrivacyTarget(unit: .record, clipNorm: 0.5, epsilon: 7, delta: 1e-3) }),
    ("starting weights", { $0.seed = 2 }),
    ("task", { $0.task = .regression }),
    ("labels of the same kind", { ($0.task, $0.hasGaps) = (.regression, true) }),
  ]

  @Test func `Under one key, another job, file or owner has other batches and noise`() throws {
    let site = try Site<Float>()
    let run = try site.run(PrivateJobTests.job)
    let master = run.master
    let job = PrivateJobTests.job.resolved(on: site.data)
    let own = try secrets(job, site.keys, master)
    #expect(try secrets(job, site.keys, master) == own)
    // The trainer may have moved.
    let moved = try ResolvedJob.load(
      path: run.directory.resolvedJob.path, overrides: ["trainer=tcp://127.0.0.1:2"], checkFiles: false)
    #expect(moved != job)
    #expect(try secrets(moved, site.keys, master) == own)
    var found = [own]
    for (_, change) in Self.changes {
      found.append(try secrets(PrivateJobTests.job.changing(change).resolved(on: site.data), site.keys, master))
    }
    found.append(try secrets(job, CurveKeyPair.generate(), master))
    // Another file in the same place.
    let other = try SmallData(in: site.directory, seed: 2)
    try FileManager.default.removeItem(at: site.data.file)
    try FileManager.default.moveItem(at: other.file, to: site.data.file)
    found.append(try secrets(job, site.keys, master))
    for place in 0..<3 { #expect(Set(found.map { $0[place] }).count == found.count) }
  }

  @Test func `A run that has begun is not resumed as another job, and a trainer that holds it refuses that`() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try begun(site)
    // Only the starting weights and the order of the slots are others: neither is in the description.
    let other = try OwnedRun<Float>(
      reopening: run.directory.root, PrivateJobTests.job.changing { $0.seed = 2 }.resolved(on: site.data),
      keys: site.keys)
    expectRefusal("with noise for another job") { try other.execute(on: site.network) }
    // As if nothing had been counted.
    try FileManager.default.removeItem(at: run.directory.ledger)
    var state = run.state
    state.phase = .prepared
    try state.save(run.directory)
    let error = #expect(throws: OwnerError.self) {
      try OwnedRun<Float>(reopening: run.directory.root, other.prepared.job, keys: site.keys).execute(on: site.network)
    }
    guard case .refused = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test func `A run that has begun without its ledger, or with an empty one`() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try begun(site)
    try FileManager.default.removeItem(at: run.directory.ledger)
    expectRefusal("ledger.jsonl") { try run.execute(on: site.network) }
    #expect(!FileManager.default.fileExists(atPath: run.directory.ledger.path))
    try Data().write(to: run.directory.ledger)
    expectRefusal("ledger.jsonl") { try run.execute(on: site.network) }
  }

  @Test func `A run that has begun without the digest of its data`() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try begun(site)
    try FileManager.default.removeItem(at: run.directory.dataDigest)
    expectRefusal("data.json") { try run.execute(on: site.network) }
  }

  @Test func `A ledger that is moved away or cut while it counts`() throws {
    let site = try Site<Float>()
    let run = try site.run(PrivateJobTests.job)
    var ledger = try StepLedger(run.directory, privacy(of: run), isBegun: false)
    try ledger.count(through: 2)
    #expect(ledger.steps == 3)
    let whole = try Data(contentsOf: run.directory.ledger)
    try Data(whole.dropLast(5)).write(to: run.directory.ledger)
    expectRefusal("nothing more is sent") { try ledger.count(through: 3) }
    try FileManager.default.removeItem(at: run.directory.ledger)
    // Also a step that is counted.
    expectRefusal("nothing more is sent") { try ledger.count(through: 0) }
    #expect(ledger.steps == 3)
  }

  @Test func `What is spent is never less than that of the steps taken`() throws {
    let site = try Site<Float>()
    let privacy = try privacy(of: site.run(PrivateJobTests.job))
    let whole = try JobPrivacyReport(privacy, counted: 36, taken: 36)
    #expect(try JobPrivacyReport(privacy, counted: 10, taken: 36) == whole)
    #expect(whole.steps == 36)
    let more = try JobPrivacyReport(privacy, counted: 72, taken: 36)
    #expect(more.steps == 72 && more.epsilon > whole.epsilon)
  }
}
