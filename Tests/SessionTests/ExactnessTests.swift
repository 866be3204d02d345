import JobSpec
import Masking
import Models
import Numerics
import OwnerRole
import Protocol
import TestSupport
import Testing

/// The masked two-party run in float64, unmasked, beside plain loops that know nothing of keys: `PlaintextRun`.
///
/// Bound: 1e-10 after 50 steps. Masking multiplies by orthogonal matrices, whose rounding is some 1e-16 · √width a
/// product; 50 steps of a contracting optimizer and Muon's 3.4445⁵ ≈ 485 leave it below 1e-12.
@Suite(.waiting) struct ExactnessTests {
  static let bound = 1e-10

  @Test func everyOptimizerIsTrained() {
    #expect(Set(ExactnessCase.exact.map(\.job.optimizer.kind)) == Set(OptimizerDescription.Kind.allCases))
  }

  @Test(arguments: ExactnessCase.exact)
  func maskedTrainingEqualsPlaintext(_ example: ExactnessCase) throws {
    let site = try Site<Double>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(example.job)
    try run.execute(on: site.network)
    let plain = try PlaintextRun(run.directory, job: run.prepared.job, data: site.data, noising: noising(run))
    #expect(plain.losses.count == 50)
    #expect(try plain.largestRelativeDifference(to: run.directory) <= Self.bound)
    var losses: [Double] = []
    var kept: Int?
    for record in try run.history() {
      if case .step(_, let loss, _, _, _) = record { losses.append(loss) }
      if case .evaluation(let epoch, _, _, _, true, _) = record { kept = epoch }
    }
    #expect(losses.count == plain.losses.count)
    // Losses are of order 1 and carry the same rounding as the outputs.
    #expect(zip(losses, plain.losses).allSatisfy { abs($0 - $1) <= Self.bound })
    if example.job.keep == .best { #expect(kept == plain.keptEpoch) }
  }

  /// The noise that a run's rows have, from its master key and their slots.
  private func noising(_ run: OwnedRun<Double>) -> ([Float], Int) throws -> [Float] {
    guard let noise = InputNoise(run.prepared.job.masking, master: run.master, for: .training) else {
      return { row, _ in row }
    }
    let slots = run.prepared.plan.rowOfSlot
    return { row, number in
      let slot = try #require(slots.firstIndex(of: Int32(number)))
      var noised = Tensor(row, shape: [1, row.count])
      try noise.add(to: &noised, numbers: [Int32(slot)], workers: Workers(threads: 1))
      #expect(noised.elements != row)
      return noised.elements
    }
  }

  /// A job on noised rows is not the job on clean ones: the reference above must be able to see the difference.
  @Test func noisedRowsGiveOtherWeightsThanCleanOnes() throws {
    let site = try Site<Double>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(SmallJob().changing { $0.noise = 0.3 })
    try run.execute(on: site.network)
    let plain = try PlaintextRun(run.directory, job: run.prepared.job, data: site.data)
    #expect(try plain.largestRelativeDifference(to: run.directory) > 1e-2)
  }

  /// Adam divides coordinate by coordinate, which a rotation does not pass: the claim that fails must be seen to fail.
  @Test func adamwUnderRotationIsAnotherTrajectory() throws {
    let site = try Site<Double>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let job = SmallJob().changing {
      $0.optimizer = SmallJob.adamw()
      $0.exact = false
    }
    let run = try site.run(job)
    try run.execute(on: site.network)
    let plain = try PlaintextRun(run.directory, job: run.prepared.job, data: site.data)
    #expect(try plain.largestRelativeDifference(to: run.directory) > 1e-3)
  }

  @Test func adamwUnderRotationIsRefusedByName() throws {
    let site = try Site<Double>()
    let job = SmallJob().changing { $0.optimizer = SmallJob.adamw() }
    let error = #expect(throws: MaskingError.self) { try site.run(job) }
    #expect(error == .notExact(optimizer: .adamw, largest: .signedPermutation, strength: .rotation))
    #expect(error?.description.contains("adamw") == true)
    #expect(error?.description.contains("rotation") == true)
  }

  @Test func adamwUnderAnInputRotationIsRefusedByName() throws {
    let site = try Site<Double>()
    let job = SmallJob().changing {
      $0.optimizer = SmallJob.adamw()
      $0.strength = .inputOnly
    }
    #expect(throws: MaskingError.notExact(optimizer: .adamw, largest: .signedPermutation, strength: .inputOnly)) {
      try site.run(job)
    }
  }

  /// The job in single precision, as the programs run it, to single precision: 50 steps at 6e-8 a rounding, widths below 10.
  @Test(arguments: [LossLocation.owner, .trainer])
  func singlePrecisionStaysNearPlaintext(_ loss: LossLocation) throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(
      SmallJob().changing {
        $0.loss = loss; $0.activation = .gelu
      })
    try run.execute(on: site.network)
    let plain = try PlaintextRun(run.directory, job: run.prepared.job, data: site.data)
    #expect(try plain.largestRelativeDifference(to: run.directory) <= 1e-4)
  }
}

@Suite(.waiting) struct ThreadCountTests {
  /// Widths that several tiles and pieces cover, so that threads have something to divide.
  @Test(arguments: [LossLocation.owner, .trainer])
  func anyNumberOfThreadsGivesTheSameBits(_ loss: LossLocation) throws {
    let site = try Site<Float>(rows: 700)
    let job = SmallJob().changing {
      $0.loss = loss
      $0.hidden = [300, 70]
      $0.batch = 256
      $0.microBatch = 100
      $0.epochs = 2
      $0.activation = .gelu
      $0.optimizer = SmallJob.muon()
    }
    let run = try site.run(job)
    let one = try site.undisturbed(run, threads: 1)
    for threads in [2, 3] {
      let other = try site.undisturbed(run, threads: threads)
      #expect(try other.model() == one.model())
      #expect(try other.history() == one.history())
    }
  }
}
