import Models
import Testing

@testable import Numerics
@testable import Training

/// What an engine promises, where its activations are of 16 bits.
@Suite struct BFloat16EngineTests {
  private func compute(_ threads: Int = 2) -> Compute {
    Compute(workers: Workers(threads: threads), precision: .bfloat16)
  }

  private func run(_ name: String, _ kind: OptimizerDescription.Kind = .adamw) throws -> (
    BFloat16Fixture, BFloat16Fixture.Run
  ) {
    let fixture = try BFloat16Fixture.read.get()
    return (fixture, try #require(fixture.runs(name, kind).first))
  }

  @Test(arguments: ["bert", "llama", "lora"]) func bitsDoNotDependOnThreadsNorOnWhatIsComputedAgain(
    _ name: String
  ) throws {
    let (fixture, run) = try run(name)
    let engines = try [
      fixture.engine(run, Float.self, compute: compute(1), partRows: 3),
      fixture.engine(run, Float.self, compute: compute(2), partRows: 3),
      fixture.engine(run, Float.self, compute: compute(5), partRows: 3),
      fixture.engine(run, Float.self, compute: compute(2), recomputes: true, partRows: 3),
    ]
    for engine in engines {
      for _ in 0..<4 { try fixture.step(engine, run, part: 3) }
    }
    let bits = engines.map { EngineHarness.bits($0) }
    for other in bits.dropFirst() { #expect(other == bits[0]) }
  }

  /// A second engine that is given what a checkpoint holds goes on as the first would have.
  @Test(arguments: ["bert", "llama", "lora"], OptimizerDescription.Kind.allCases)
  func aResumedRunHasTheSameBits(_ name: String, _ kind: OptimizerDescription.Kind) throws {
    let (fixture, run) = try run(name, kind)
    let whole = try fixture.engine(run, Float.self, compute: compute())
    for _ in 0..<3 { try fixture.step(whole, run) }
    let resumed = try fixture.engine(run, Float.self, compute: compute())
    // It has packed other weights before.
    try fixture.step(resumed, run)
    try resumed.setParameters(whole.parameters)
    try resumed.setOptimizerState(whole.optimizerState)
    resumed.step = whole.step
    for engine in [whole, resumed] {
      for _ in 0..<3 { try fixture.step(engine, run) }
    }
    #expect(EngineHarness.bits(whole) == EngineHarness.bits(resumed))
  }

  @Test func partsOfRowsInAnyOrderGiveTheSameBits() throws {
    let orders: [([Range<Int>]) -> [Range<Int>]] = [
      { $0 }, { $0.reversed() },
      { parts in parts.enumerated().sorted { $0.offset * 5 % 7 < $1.offset * 5 % 7 }.map(\.element) },
      // Some of them twice: those start anew.
      { $0 + $0.dropFirst(2) },
    ]
    let engines = try orders.indices.map {
      try EngineHarness.engine(Float.self, threads: 1 + $0 % 3, precision: .bfloat16)
    }
    for (engine, order) in zip(engines, orders) {
      for _ in 0..<3 { _ = try EngineHarness.step(engine, part: 16, order: order) }
    }
    for other in engines.dropFirst() { #expect(EngineHarness.bits(other) == EngineHarness.bits(engines[0])) }
  }

  /// Weights stay in single precision, where an update of less than 2⁻⁹ of them is not lost; outputs are numbers of 16 bits.
  @Test func weightsAreNotRoundedAndOutputsAre() throws {
    let engine = try EngineHarness.engine(Float.self, precision: .bfloat16)
    let before = engine.parameters
    _ = try EngineHarness.step(engine, part: 96)
    let changes = zip(engine.parameters, before).flatMap { zip($0.elements, $1.elements) }.filter { $0 != $1 }
    #expect(changes.contains { abs($0 - $1) < 0x1p-10 * abs($1) })
    let outputs = try engine.infer(rows: 7) { input in
      for (index, value) in EngineHarness.inputs(3, rows: 0..<7).enumerated() { input[index] = Float(value) }
    }
    #expect(outputs.allFinite && outputs.elements.allSatisfy { BFloat16($0).widened == $0 })
    let exact = try EngineHarness.engine(Float.self)
    try exact.setParameters(engine.parameters)
    let wanted = try exact.infer(rows: 7) { input in
      for (index, value) in EngineHarness.inputs(3, rows: 0..<7).enumerated() { input[index] = Float(value) }
    }
    // Some ten roundings of 2⁻⁹.
    let scale = wanted.elements.map(abs).max() ?? 0
    #expect(zip(outputs.elements, wanted.elements).allSatisfy { abs($0 - $1) <= 0x1p-5 * scale })
    #expect(outputs != wanted)
  }

  /// Double precision has no narrower format.
  @Test func doublePrecisionIsAsEver() throws {
    let engines = try [ProductPrecision.full, .bfloat16].map {
      try EngineHarness.engine(Double.self, precision: $0)
    }
    for engine in engines { _ = try EngineHarness.step(engine, part: 32) }
    #expect(engines[0].parameters == engines[1].parameters)
  }

  /// The layouts of other processors' products: sums in another order, then the same roundings.
  @Test(arguments: [KernelPath.amx, .avx512BFloat16, .portable]) func otherPathsComputeTheSame(_ path: KernelPath)
    throws
  {
    let (fixture, run) = try run("llama")
    let emulated = Compute(
      workers: Workers(threads: 2), library: PackedKernels(emulating: path), precision: .bfloat16)
    let engines = try [compute(), emulated].map { try fixture.engine(run, Float.self, compute: $0) }
    let double = try fixture.engine(run, Double.self, compute: Compute(threads: 2))
    for _ in 0..<2 {
      for engine in engines { try fixture.step(engine, run) }
      try fixture.step(double, run)
    }
    let distances = engines.map { distance($0, double) }
    #expect(distances[1] > 0 && distances[1] <= 1.5 * distances[0], "\(distances)")
  }

  @Test func samplesAreNotClippedOneByOne() throws {
    let graph = try ModelGraph.perceptron(
      input: HomogeneousColumns(features: 3, padding: 0), hidden: [4], activation: .tanh, outputs: 2)
    #expect(throws: TrainingError.self) {
      try TrainingEngine<Float>(
        model: graph,
        optimizer: OptimizerDescription(
          kind: .sgd, learningRate: 0.1, momentum: 0, nesterov: false, weightDecay: 0, clipNorm: nil),
        schedule: ScheduleDescription(warmup: 0, decay: .none), totalSteps: 1, batchRows: 4,
        sampleClipping: SampleClipping(clipNorm: 1, expectedBatch: 4), compute: compute(),
        parameters: Model(graph).structure.parameters.map { Tensor(zeros: $0.shape) })
    }
  }

  /// Of `MemoryPlanTests.theEstimateCountsEveryMatrix`: what layers hand on and keep takes two bytes, the rest four, and inputs are there in both. On paths
  /// of floats a packed weight has as many as fill panels of 16 columns.
  @Test func theEstimateCountsTwoBytes() throws {
    let weights = 3 * (60 + 100 + 60) + 18
    let part = 36 * (3 * 6 + 3 * 20 + 26 + 20 + 26) + 4 * 6
    let working = 1024 * (2 * 6 + 2 * 10 + 6 + 3)
    // Of 10 × 6: 6 deep, 16 columns, and for the backward pass 10 deep; the first has no gradient to hand on.
    let up = 6 * 16 + 10 * 16
    let (middle, down, head) = (2 * 10 * 16, 10 * 16 + 6 * 16, 6 * 16 + 3 * 16)
    let packed = 3 * (up + middle + down) - 10 * 16 + head
    let inputs = 36 * 6
    let compute = Compute(
      workers: Workers(threads: 1), library: PackedKernels(path: .portable), precision: .bfloat16)
    #expect(
      TrainingEngine<Float>.memoryEstimate(try SequenceHarness().settings(partRows: 4), compute)
        == 4 * (3 * weights + packed + inputs) + 2 * (2 * part + working) + (4 + 2) * inputs)
  }
}
