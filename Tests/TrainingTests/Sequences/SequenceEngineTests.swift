import Models
import Numerics
import Testing

@testable import Training

/// Batches of sequences, worked on part by part.
@Suite struct SequenceEngineTests {
  typealias Harness = SequenceHarness

  /// A part's gradients are the same products added in another order. A gradient entry is a sum of some 60 tokens' terms (30
  /// roundings apart on the way through the model), so two orders differ by less than 100 · 1.1e-16 of the sum of their
  /// magnitudes, which is below 10 here; three steps pass that on with factors below 10. 1e-12 leaves a factor of ten.
  @Test(arguments: [false, true]) func partsGiveTheWholeBatchsStep(_ isPerToken: Bool) throws {
    let harness = Harness(isPerToken: isPerToken)
    let whole = try harness.engine(Double.self, partRows: nil)
    let parts = try harness.engine(Double.self, partRows: 5)
    for _ in 0..<3 {
      let a = try Harness.step(whole, part: 12)
      let b = try Harness.step(parts, part: 5)
      #expect(a.gradientNorm > 0.1)
      #expect(abs(a.gradientNorm - b.gradientNorm) <= 1e-12)
    }
    for (a, b) in zip(whole.parameters, parts.parameters) {
      #expect(zip(a.elements, b.elements).allSatisfy { abs($0 - $1) <= 1e-12 })
    }
  }

  /// Central differences, h = 1e-5: h² times a third derivative below 10 is 1e-9, rounding 1e-16/1e-5 = 1e-11.
  @Test(arguments: [false, true]) func aStepFollowsTheGradient(_ isPerToken: Bool) throws {
    let harness = Harness(isPerToken: isPerToken)
    let engine = try harness.engine(Double.self, partRows: 5)
    let start = engine.parameters
    let norm = try Harness.step(engine, part: 5).gradientNorm
    let clip = min(1, 1 / (norm + 1e-6))
    let reference = try harness.engine(Double.self)
    func loss(_ parameters: [Tensor<Double>]) throws -> Double {
      try reference.setParameters(parameters)
      let outputs = try reference.infer(rows: 12, sequences: Harness.layout(0, 0..<12)) {
        Harness.fill($0, 0, 0..<12)
      }
      return outputs.elements.reduce(0) { $0 + ($1 - 0.25) * ($1 - 0.25) } / 2 / Double(Harness.samples)
    }
    for index in start.indices {
      // The first step of sgd: w −= rate · (clip · g + decay · w).
      let gradient = zip(start[index].elements, engine.parameters[index].elements).map {
        (($0 - $1) / 0.05 - 0.01 * $0) / clip
      }
      #expect(gradient.contains { abs($0) > 1e-3 })
      for element in stride(from: 0, to: gradient.count, by: 13) {
        let numeric = try [1e-5, -1e-5].map { move in
          var moved = start
          moved[index][element] += move
          return try loss(moved)
        }
        #expect(abs((numeric[0] - numeric[1]) / 2e-5 - gradient[element]) <= 1e-8, "\(index)[\(element)]")
      }
    }
  }

  @Test(arguments: OptimizerDescription.Kind.allCases, [false, true]) func bitsDoNotDependOnThreads(
    _ kind: OptimizerDescription.Kind, _ recomputes: Bool
  ) throws {
    let results = try [1, 2, 3, 7].map { threads in
      let engine = try Harness(recomputes: recomputes, kind: kind).engine(Float.self, threads: threads)
      let norms = try (0..<3).map { _ in try Harness.step(engine, part: 4).gradientNorm }
      return (EngineHarness.bits(engine), norms)
    }
    for other in results.dropFirst() {
      #expect(other.0 == results[0].0)
      #expect(other.1 == results[0].1)
    }
  }

  @Test func partsInFlightDoNotChangeTheBits() throws {
    let one = try Harness().engine(Float.self)
    let two = try Harness().engine(Float.self)
    for _ in 0..<2 {
      let a = try Harness.step(one, part: 4, ahead: 1)
      let b = try Harness.step(two, part: 4, ahead: 2)
      #expect(a == b)
    }
    #expect(EngineHarness.bits(one) == EngineHarness.bits(two))
  }

  // MARK: - Recomputation

  @Test(arguments: [0, 1, 2, 3], [false, true]) func computingAgainGivesTheSameBits(
    _ frozenBlocks: Int, _ isPerToken: Bool
  ) throws {
    let kept = try Harness(isPerToken: isPerToken, frozenBlocks: frozenBlocks).engine(Float.self)
    let again = try Harness(isPerToken: isPerToken, frozenBlocks: frozenBlocks, recomputes: true).engine(Float.self)
    for ahead in [1, 2, 2] {
      let a = try Harness.step(kept, part: 4, ahead: ahead)
      let b = try Harness.step(again, part: 4, ahead: ahead)
      #expect(a == b)
    }
    #expect(EngineHarness.bits(kept) == EngineHarness.bits(again))
  }

  @Test func onlyBlockInputsAreKeptWhereBlocksAreComputedAgain() throws {
    let shapes = try Harness(recomputes: true).settings(partRows: 4).plan().partShapes
    // The input of each block, and that of the head. Nobody reads the last block's output again.
    let token = MatrixShape(columns: Harness.width, domain: .tokens)
    let sample = MatrixShape(columns: Harness.width, domain: .samples)
    #expect(shapes == [token, token, token, sample])
  }

  /// Each block's layers run twice, but for the middle block's last: its result is kept, and it keeps nothing else.
  @Test func aLayerWhoseResultIsKeptIsNotComputedAgain() throws {
    let harness = Harness(recomputes: true)
    try Harness.step(try harness.engine(Float.self, partRows: nil), part: 12)
    for block in 0..<3 {
      #expect(harness.record["block\(block).up"].forward == 2)
      #expect(harness.record["block\(block).middle"].forward == 2)
      #expect(harness.record["block\(block).down"].forward == (block == 1 ? 1 : 2))
    }
    #expect(harness.record["head"].forward == 1)
  }

  @Test func aBlockThatNoGradientReachesIsNotComputedAgain() throws {
    let harness = Harness(frozenBlocks: 2, recomputes: true)
    try Harness.step(try harness.engine(Float.self, partRows: nil), part: 12)
    #expect(harness.record["block1.up"].forward == 1)
    #expect(harness.record["block2.up"].forward == 2)
  }

  // MARK: - Frozen parameters

  @Test(arguments: [1, 2, 3]) func aFrozenPrefixHasNoBackwardPass(_ frozen: Int) throws {
    let harness = Harness(frozenBlocks: frozen)
    let engine = try harness.engine(Float.self)
    let before = engine.parameters
    try Harness.step(engine, part: 4)
    for block in 0..<3 {
      for layer in ["up", "middle", "down"] {
        let entry = harness.record["block\(block).\(layer)"]
        #expect(entry.forward == 3)
        #expect(entry.backward == (block < frozen ? 0 : 3))
        // The first trained block passes nothing on to what is frozen before it.
        let passed =
          block < frozen ? 0 : block > frozen ? (layer == "up" ? 1 : 2) : ["up": 0, "middle": 2, "down": 1][layer]
        #expect(entry.inputGradients == 3 * (passed ?? -1), "block\(block).\(layer)")
      }
    }
    for (index, parameter) in engine.model.structure.parameters.enumerated() {
      #expect((engine.parameters[index] == before[index]) == !parameter.isTrained)
    }
    #expect(engine.optimizerStateShapes.count == 10 - 3 * frozen)
    #expect(
      engine.optimizerStateShapes.first?.name
        == (frozen == 3 ? "momentum.head.weight" : "momentum.block\(frozen).up.weight"))
  }

  /// Without clipping, what is trained gets the gradient it has when everything is.
  @Test func freezingOthersLeavesAGradientAlone() throws {
    let all = try Harness(kind: .muon).engine(Double.self)
    let some = try Harness(frozenBlocks: 2, kind: .muon).engine(Double.self)
    func clipped(_ engine: TrainingEngine<Double>, frozen: Int) throws -> [[Double]] {
      let norm = try Harness.step(engine, part: 4).gradientNorm
      // Muon's first buffer is the clipped gradient.
      let clip = min(1, 1 / (norm + 1e-6))
      return engine.optimizerState.suffix(4).map { $0.tensor.elements.map { $0 / clip } }
    }
    for (a, b) in zip(try clipped(all, frozen: 0), try clipped(some, frozen: 2)) {
      // One product and one quotient with the clip factor: two roundings of entries below 10.
      #expect(zip(a, b).allSatisfy { abs($0 - $1) <= 1e-14 })
    }
  }

  @Test func valuesThatNoGradientReachesAreNotKept() throws {
    let shapes = try Harness(frozenBlocks: 3).settings(partRows: 4).plan().partShapes
    // The head's input.
    #expect(shapes == [MatrixShape(columns: Harness.width, domain: .samples)])
  }

  // MARK: - Inference

  @Test(arguments: [false, true]) func inferenceInBlocksIsThatOfEachSample(_ isPerToken: Bool) throws {
    let engine = try Harness(isPerToken: isPerToken).engine(Double.self)
    // 700 samples of 5 tokens on average: four blocks.
    let samples = 700
    let lengths = (0..<samples).map { 1 + $0 % Harness.maximumTokens }
    let layout = Harness.layout(lengths)
    let noise = LayerHarness.noise(layout.tokens * Harness.width, seed: 5)
    let all = try engine.infer(rows: samples, sequences: layout) { _ = $0.update(fromContentsOf: noise) }
    #expect(all.shape == [isPerToken ? layout.tokens : samples, Harness.outputs])
    for sample in [0, 203, 204, 450, 699] {
      let tokens = layout.range(ofSample: sample)
      let alone = try engine.infer(
        rows: 1,
        sequences: SequenceLayout(offsets: [0, tokens.count], pooled: [layout.pooled[sample] - tokens.lowerBound])
      ) { _ = $0.update(fromContentsOf: noise[tokens.lowerBound * Harness.width..<tokens.upperBound * Harness.width]) }
      let rows = isPerToken ? tokens : sample..<sample + 1
      let expected = all.elements[rows.lowerBound * Harness.outputs..<rows.upperBound * Harness.outputs]
      // The same sums of up to 10 products, in another order, through 11 layers.
      #expect(zip(expected, alone.elements).allSatisfy { abs($0 - $1) < 1e-13 })
    }
  }

  @Test func inferenceDoesNotDisturbPartsInFlight() throws {
    let plain = try Harness(recomputes: true).engine(Float.self)
    let disturbed = try Harness(recomputes: true).engine(Float.self)
    try Harness.step(plain, part: 4)
    try disturbed.beginBatch(rows: 12)
    func disturb() throws {
      _ = try disturbed.infer(rows: 12, sequences: Harness.layout(7, 0..<12)) { Harness.fill($0, 7, 0..<12) }
    }
    for start in [0, 4, 8] {
      let rows = start..<start + 4
      let outputs = try Harness.forward(disturbed, rows)
      try disturb()
      try disturbed.setOutputGradient(Harness.gradient(outputs), rows: rows)
      try disturb()
    }
    _ = try disturbed.finishStep()
    #expect(EngineHarness.bits(plain) == EngineHarness.bits(disturbed))
  }

  @Test func anEngineWithoutOptimizerInfersAndDoesNotTrain() throws {
    let engine = try Harness().engine(Float.self, trains: false)
    let trained = try Harness().engine(Float.self)
    let layout = Harness.layout(0, 0..<12)
    let outputs = try engine.infer(rows: 12, sequences: layout) { Harness.fill($0, 0, 0..<12) }
    #expect(try outputs == trained.infer(rows: 12, sequences: layout) { Harness.fill($0, 0, 0..<12) })
    #expect(throws: TrainingError.inferenceOnly) { try engine.beginBatch(rows: 1) }
    #expect(throws: TrainingError.inferenceOnly) { try engine.finishStep() }
    #expect(engine.optimizerStateShapes.isEmpty)
  }
}
