import Models
import Datasets
import Foundation
import JobSpec
import Masking
import Numerics
import Testing
import TestSupport
import Protocol

@testable import OwnerRole

/// What leaves the owner's site under `masking.noise`.
@Suite(.waiting) struct NoisedInputTests {
  private static let columns = 40

  /// Rows of which 1 in 20 values is 1 and the others are 0, as fingerprints are: without noise they are masked entry by entry.
  private func sparse(in directory: TemporaryDirectory, noise: Double?) throws -> (job: ResolvedJob, rows: [[Float]]) {
    let rows = (0..<30).map { row in (0..<Self.columns).map { Float(($0 + row) % 20 == 0 ? 1 : 0) } }
    let file = directory.url("sparse.h5")
    let writer = try HDF5Writer(path: file.path)
    try writer.createMatrix("x", columns: Self.columns, of: Float.self)
    try writer.append(rows.flatMap { $0 }, to: "x")
    try writer.write((0..<30).map { Int64($0 % 3) }, to: "classes")
    try writer.commit()
    let small = SmallJob().changing { $0.noise = noise }.resolved(on: try SmallData(in: directory))
    let data = JobData(
      file: file.path, inputs: .features("x"), labels: "classes", split: small.data.split, standardize: false)
    let job = ResolvedJob(
      name: small.name, trainer: small.trainer, data: data, task: small.task, model: small.model,
      masking: small.masking, lossLocation: small.lossLocation, optimizer: small.optimizer, schedule: small.schedule,
      train: small.train, checkpointEverySteps: small.checkpointEverySteps)
    return (job, rows)
  }

  /// Unmasked, every value of every row, zeros too, is the row's plus its noise; orthogonal keys of 42 columns round at 1e-15 √42.
  @Test func everyValueOfASparseRowIsNoised() throws {
    let directory = try TemporaryDirectory()
    let (job, rows) = try sparse(in: directory, noise: 0.5)
    let prepared = try PreparedJob(job: job, secret: try OrderSecret(ephemeralWithSeed: 1))
    guard case .features(let source) = prepared.source else { throw OwnerError.unfitJob("no features") }
    let master = MasterKey()
    let compute = Compute(threads: 1)
    let keys = JobKeys<Double>(master: master, plan: prepared.shape.keyPlan, compute: compute)
    let noise = try #require(InputNoise(job.masking, master: master, for: .training))
    var times = PhaseTimes()
    let spool = try RowSpool(
      prepared, source: source, standardization: nil, noise: noise, keys: keys, scratch: directory.url("."),
      times: &times, progress: { _, _ in })
    let slots = Array(0..<prepared.plan.totalRows)
    let found = try keys.unmaskInputs(spool.rows(slots))
    var expected = Tensor<Float>(
      prepared.plan.rowOfSlot.flatMap { rows[Int($0)] }, shape: [slots.count, Self.columns])
    let clean = expected.elements
    try noise.add(to: &expected, numbers: slots.map { Int32($0) }, workers: compute.workers)
    #expect(zip(expected.elements, clean).allSatisfy { $0 != $1 })
    #expect(zip(found.elements, expected.elements).allSatisfy { abs($0 - Double($1)) < 1e-12 })
  }

  /// Within a sample and between samples, a token that comes again has another vector; without noise it has the same.
  @Test(arguments: [nil, 0.1])
  func theSameTokenTwice(_ noise: Double?) throws {
    let directory = try TemporaryDirectory()
    // Decoders add no positions, so that a token's vector is its word's.
    let data = try TokenData(in: directory) { _, ids, mask, _ in
      ids = ids.map { _ in 7 }
      mask = mask.map { _ in 1 }
    }
    // A permutation changes no bits.
    let job = try TokenJob().changing { ($0.family, $0.strength, $0.noise) = (.llama, .permutation, noise) }
      .resolved(on: data)
    let samples = try tokens(PreparedJob(job: job, secret: try OrderSecret(ephemeralWithSeed: 1)))
    func vectors(pass: Int) throws -> [[Float]] {
      let values = try samples.delivery(of: (0..<30).map { Int32($0) }[...], pass: pass).values
      return (0..<values.rows).map { values.slice(rows: $0..<$0 + 1).elements }
    }
    let first = try vectors(pass: 0)
    // 30 rows of 10 tokens.
    #expect(first.count == 300)
    #expect(Set(first).count == (noise == nil ? 1 : 300))
    #expect(try vectors(pass: 1) == first)
  }

  private func tokens(_ prepared: PreparedJob) throws -> TokenSamples<Float> {
    guard case .tokens(let inputs) = prepared.source else { throw OwnerError.unfitJob("no tokens") }
    let master = MasterKey()
    let compute = Compute(threads: 1)
    return TokenSamples(
      spool: try TokenSpool(
        prepared, tokens: inputs, scratch: FileManager.default.temporaryDirectory, progress: { _, _ in }),
      packer: TokenPacker(
        embedding: try inputs.model.embedding(),
        keys: JobKeys(master: master, plan: prepared.shape.keyPlan, compute: compute), master: master,
        noise: InputNoise(prepared.job.masking, master: master, for: .training), settings: inputs.settings,
        compute: compute),
      labels: prepared.labels, rowOfSlot: prepared.plan.rowOfSlot)
  }

  @Test func thePlanSaysWhatNoiseMeans() throws {
    let directory = try TemporaryDirectory()
    let data = try SmallData(in: directory)
    func plan(_ noise: Double?) throws -> PlanReport {
      PlanReport(
        try PreparedJob(
          job: SmallJob().changing { $0.noise = noise }.resolved(on: data),
          secret: try OrderSecret(ephemeralWithSeed: 1)))
    }
    #expect(try plan(nil).notices.isEmpty)
    let notices = try plan(0.25).notices
    #expect(notices.count == 1)
    #expect(notices[0].contains("0.25") && notices[0].contains("exact for the noised rows, not for the clean ones"))
    #expect(try plan(0.25).trainerSees.contains { $0.contains("noise on every value") })
  }
}
