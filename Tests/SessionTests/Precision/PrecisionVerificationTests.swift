import JobSpec
import Masking
import Models
import OwnerRole
import Protocol
import TestSupport
import Testing

@testable import Numerics

/// `encryptor verify` of jobs in other numbers than floats, and masks by three bfloat16 products.
@Suite(.timeLimit(.minutes(10))) struct PrecisionVerificationTests {
  private let directory: TemporaryDirectory
  private let data: SmallData

  init() throws {
    directory = try TemporaryDirectory()
    data = try SmallData(in: directory)
  }

  private func prepared(_ job: SmallJob) throws -> PreparedJob {
    try PreparedJob(job: job.resolved(on: data), secret: OrderSecret(ephemeralWithSeed: 1))
  }

  private static let good: [SmallJob] = [
    SmallJob(), SmallJob().changing { ($0.optimizer, $0.hidden) = (SmallJob.muon(), [7]) },
    SmallJob().changing { ($0.optimizer, $0.strength) = (SmallJob.adamw(), .permutation) },
    SmallJob().changing { ($0.task, $0.hidden, $0.noise) = (.regression, [], 0.1) },
    SmallJob().changing { ($0.task, $0.standardize) = (.multilabel, true) },
  ]

  @Test(arguments: good, [TrainingPrecision.bfloat16, .bfloat16x3])
  func aGoodRunPasses(_ job: SmallJob, _ precision: TrainingPrecision) throws {
    let found = try PrecisionVerification(
      prepared: prepared(job.changing { $0.precision = precision }), compute: Compute(threads: 1)
    ).distances(steps: 50) { _, _ in }
    #expect(found.passes, "\(found)")
    // It says something: a run that had not trained at all would fail. Of Muon, whose steps are as large whatever the gradient, rounding makes more.
    #expect(found.trained > 0.01 && found.allowed < found.trained, "\(found)")
    if precision == .bfloat16 { #expect(found.plain > 1e-6, "\(found)") }
  }

  /// AdamW does not commute with rotations: its masked trajectory is another one.
  @Test func aRunThatIsNotExactFails() throws {
    let job = SmallJob().changing {
      ($0.optimizer, $0.strength, $0.exact, $0.precision) = (SmallJob.adamw(), .rotation, false, .bfloat16)
    }
    let found = try PrecisionVerification(prepared: prepared(job), compute: Compute(threads: 1))
      .distances(steps: 50) { _, _ in }
    #expect(!found.passes, "\(found)")
  }

  /// On a processor with tiles masks are applied by three products of bfloat16 parts, here by loops that give their bits: the trained weights
  /// stay as near to plaintext training as an outside replay asks for.
  @Test(arguments: Array(good.prefix(3)))
  func masksByThreeProductsKeepTheBar(_ job: SmallJob) throws {
    let compute = Compute(
      workers: Workers(threads: 1), library: PackedKernels(emulating: .amx), precision: .bfloat16x3)
    let difference = try Verification<Float>(prepared: prepared(job), compute: compute)
      .largestRelativeDifference(steps: 50) { _, _ in }
    #expect(difference <= 1e-4, "\(difference)")
    // They are such products, and not floats'.
    #expect(difference > 0)
  }

  /// A row, a weight and an output of each key against the same in double precision: 2⁻¹⁷ for each operand, and a product of them lost.
  @Test func maskedNumbersAreThoseOfDoublePrecision() throws {
    let job = try prepared(SmallJob().changing { ($0.hidden, $0.task) = ([64], .regression) })
    let master = MasterKey()
    let compute = Compute(
      workers: Workers(threads: 1), library: PackedKernels(emulating: .amx), precision: .bfloat16x3)
    let keys = JobKeys<Float>(master: master, plan: job.shape.keyPlan, compute: compute)
    let exact = JobKeys<Double>(master: master, plan: job.shape.keyPlan, compute: Compute(threads: 1))
    var random = SplitMix(seed: 4)
    let rows = Tensor<Float>((0..<60).map { _ in random.nextValue() }, shape: [10, 6])
    try expectNear(try keys.maskInputs(rows), try exact.maskInputs(rows.converted()))
    let outputs = Tensor<Float>((0..<30).map { _ in random.nextValue() }, shape: [10, 3])
    try expectNear(try keys.unmaskOutputs(outputs), try exact.unmaskOutputs(outputs.converted()))
    try expectNear(try keys.maskOutputGradient(outputs), try exact.maskOutputGradient(outputs.converted()))
    for parameter in job.shape.structure.parameters {
      let weight: Tensor<Float> = try job.shape.startingWeights(secret: job.secret).tensor(parameter)
      try expectNear(
        try keys.maskParameter(weight, parameter), try exact.maskParameter(weight.converted(), parameter))
    }
  }

  private func expectNear(_ found: Tensor<Float>, _ exact: Tensor<Double>) throws {
    let size = exact.elements.reduce(0) { max($0, abs($1)) }
    let difference = zip(found.elements, exact.elements).reduce(0) { max($0, abs(Double($1.0) - $1.1)) }
    // Two products, of four operands off by 2⁻¹⁷ each of a norm at most 8 times the largest number.
    #expect(difference <= 8 * 4 * 0x1p-17 * max(size, .leastNormalMagnitude), "\(difference) of \(size)")
  }

  @Test func masksAreByFloatsWithoutTiles() {
    let compute = Compute(threads: 3)
    for path in KernelPath.allCases where path != .amx {
      let masking = compute.masking(on: path)
      #expect(masking.precision == .full && masking.library is OpenBLAS)
    }
  }
}
