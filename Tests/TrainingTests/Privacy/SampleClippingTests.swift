import Models
import Numerics
import Protocol
import Testing

@testable import Training

/// Clipped gradients against the gradients of each sample by itself, made one after the other (`ModelHarness`) and clipped as written.
@Suite struct SampleClippingTests {
  private static let expectedBatch = 7.0

  /// A model, samples, and what a naive loop makes of them.
  private struct Scene {
    let graph: ModelGraph
    let lengths: [Int]
    var seed: UInt64 = 1

    var model: Model { Model(graph) }
    var isSequences: Bool { graph.maximumTokens != nil }

    var parameters: [[Double]] {
      model.structure.parameters.enumerated().map { index, parameter in
        LayerHarness.noise(parameter.shape.reduce(1, *), seed: seed + UInt64(index)).map { 0.7 * $0 }
      }
    }

    func inputs(_ sample: Int) -> [Double] {
      // Samples of very different sizes: some are clipped, some are not.
      LayerHarness.noise(lengths[sample] * model.inputWidth, seed: seed + UInt64(500 + sample)).map {
        $0 * [0.05, 1, 3][sample % 3]
      }
    }

    func layout(_ samples: Range<Int>) -> SequenceLayout {
      SequenceLayout(
        lengths: samples.map { Int32(lengths[$0]) }, pooled: samples.map { Int32(lengths[$0] - 1) })
    }

    /// Of each sample's own loss: anything that differs from sample to sample.
    func outputGradient(_ sample: Int) -> [Double] {
      let rows = graph.hasOutputsByToken ? lengths[sample] : 1
      return LayerHarness.noise(rows * model.outputWidth, seed: seed + UInt64(900 + sample)).map {
        $0 * [0.2, 1][sample % 2]
      }
    }

    /// Each sample's gradient of every trained parameter, in order.
    func sampleGradients() -> [[Double]] {
      lengths.indices.map { sample in
        ModelHarness<Double>(model: model, sequences: layout(sample..<sample + 1))
          .run(inputs: inputs(sample), parameters: parameters) { _ in outputGradient(sample) }
          .gradients.flatMap { $0 ?? [] }
      }
    }

    func engine<Element: FloatingElement>(
      _: Element.Type, clipNorm: Double, expectedBatch: Double = SampleClippingTests.expectedBatch, threads: Int = 2,
      part: Int? = nil
    ) throws -> TrainingEngine<Element> {
      try TrainingEngine(
        model: graph,
        optimizer: OptimizerDescription(
          kind: .sgd, learningRate: 1, momentum: 0, nesterov: false, weightDecay: 0, clipNorm: nil),
        schedule: ScheduleDescription(warmup: 0, decay: .none), totalSteps: 10, batchRows: max(1, lengths.count),
        partRows: part, sampleClipping: SampleClipping(clipNorm: clipNorm, expectedBatch: expectedBatch),
        compute: Compute(threads: threads),
        parameters: zip(model.structure.parameters, parameters).map { specification, numbers in
          Tensor(numbers.map { Element($0) }, shape: specification.shape)
        })
    }

    /// A step over all samples, `part` at a time.
    @discardableResult
    func step<Element: FloatingElement>(_ engine: TrainingEngine<Element>, part: Int) throws -> StepReport {
      try engine.beginBatch(rows: lengths.count)
      for first in stride(from: 0, to: lengths.count, by: part) {
        let samples = first..<min(lengths.count, first + part)
        let outputs = try engine.forward(rows: samples, sequences: isSequences ? layout(samples) : nil) { target in
          for (index, number) in samples.flatMap(inputs).enumerated() { target[index] = Element(number) }
        }
        try engine.setOutputGradient(
          Tensor(samples.flatMap(outputGradient).map { Element($0) }, shape: outputs.shape), rows: samples)
      }
      return try engine.finishStep()
    }

    /// With plain SGD and a rate of 1 a step subtracts exactly the gradient.
    func change(_ engine: TrainingEngine<Double>) -> [Double] {
      zip(zip(parameters, engine.parameters), model.structure.parameters).flatMap { pair, specification in
        specification.isTrained ? zip(pair.0, pair.1.elements).map { $0 - $1 } : []
      }
    }
  }

  private static func norm(_ numbers: [Double]) -> Double {
    numbers.reduce(0) { $0 + $1 * $1 }.squareRoot()
  }

  private func expectNaiveClipping(_ scene: Scene, parts: [Int]) throws {
    let gradients = scene.sampleGradients()
    let norms = gradients.map(Self.norm)
    let clipNorm = norms.sorted()[norms.count / 2] * 1.01
    // The point of the scene: some are clipped, some are not.
    #expect(norms.contains { $0 > 1.5 * clipNorm } && norms.contains { $0 < 0.7 * clipNorm })
    var expected = [Double](repeating: 0, count: gradients[0].count)
    for (gradient, norm) in zip(gradients, norms) {
      let factor = min(1, clipNorm / norm) / Self.expectedBatch
      for index in expected.indices { expected[index] += factor * gradient[index] }
    }
    for part in parts {
      let engine = try scene.engine(Double.self, clipNorm: clipNorm, part: part)
      let report = try scene.step(engine, part: part)
      let found = scene.change(engine)
      let scale = Self.norm(expected)
      let difference = Self.norm(zip(found, expected).map { $0 - $1 })
      // Weights below 1 lose 1.1e-16 of themselves each, gradients a few hundred roundings: far below 1e-10 of the norm.
      #expect(difference < 1e-10 * scale, "parts of \(part)")
      #expect(abs(report.gradientNorm - scale) < 1e-10 * scale)
    }
  }

  @Test(arguments: Activation.allCases) func `A perceptron's gradient is that of a loop over samples`(
    _ activation: Activation
  ) throws {
    let graph = try ModelGraph.perceptron(
      input: HomogeneousColumns(features: 6, padding: 2), adapter: 5, hidden: [9, 4], activation: activation, outputs: 3
    )
    try expectNaiveClipping(Scene(graph: graph, lengths: Array(repeating: 1, count: 11)), parts: [11, 4])
  }

  enum Kind: String, CaseIterable, Sendable {
    case bertHead, bertLora, bertTokenLora, llamaAll, llamaLora
  }

  private static func graph(_ kind: Kind, recomputes: Bool = false) throws -> ModelGraph {
    let isLlama = kind == .llamaAll || kind == .llamaLora
    let pooling: TokenPooling =
      switch kind {
      case .bertHead, .bertLora: .cls
      case .llamaAll: .last
      case .bertTokenLora, .llamaLora: .none
      }
    let trained: TrainedPart =
      switch kind {
      case .bertHead: .head
      case .bertLora, .bertTokenLora:
        .lora(LowRankAdaptation(rank: 2, alpha: 4, targets: ["query", "value", "dense"]))
      case .llamaLora: .lora(LowRankAdaptation(rank: 2, alpha: 4, targets: ["q_proj", "down_proj"]))
      case .llamaAll: .all
      }
    return try ModelDescription.transformer(
      TransformerDescription(
        family: isLlama ? .llama : .bert, width: 8, blocks: 2, heads: 4, keyValueHeads: isLlama ? 2 : 4,
        headWidth: 2, hidden: 12, activation: isLlama ? .silu : .gelu, normEpsilon: 1e-6,
        rotary: isLlama ? RotaryDescription(frequencies: [0.7]) : nil, hasAttentionBiases: !isLlama,
        hasMLPBiases: !isLlama,
        head: TransformerHead(
          pooling: pooling, hasPooler: kind == .bertHead, outputs: 5, hasBias: !isLlama,
          isLanguageModel: kind == .llamaLora),
        trained: trained, maximumTokens: 40, recomputes: recomputes)
    ).graph()
  }

  /// Samples of one token, of so few that pairs of tokens take less, and of so many that the product does.
  @Test(arguments: Kind.allCases, [false, true]) func `A transformer's gradient is that of a loop over samples`(
    _ kind: Kind, _ recomputes: Bool
  ) throws {
    let scene = Scene(graph: try Self.graph(kind, recomputes: recomputes), lengths: [1, 3, 33, 2, 5, 1, 40, 4])
    try expectNaiveClipping(scene, parts: [8, 3])
  }

  /// ‖Σ g xᵀ‖² and ‖Σ g‖² by their definition, for samples of more tokens than a block has, by both ways.
  @Test(arguments: [(70, 90), (400, 300), (3, 2)]) func `Norms of long samples are those of the whole product`(
    _ inner: Int, _ outer: Int
  ) {
    let lengths = [150, 1, 64, 65]
    let layout = LayerHarness.layout(lengths)
    let (x, g) = (MatrixBuffer<Double>(rows: 280, columns: inner), MatrixBuffer<Double>(rows: 280, columns: outer))
    _ = x.elements.update(fromContentsOf: LayerHarness.noise(280 * inner, seed: 1))
    _ = g.elements.update(fromContentsOf: LayerHarness.noise(280 * outer, seed: 2))
    let samples = SampleRows(tokensOf: layout)
    let (products, sums) = (PartialSums(count: 4), PartialSums(count: 4))
    Compute(threads: 2).addProductSquares(g.view, x.view, factor: 3, of: samples, to: products)
    Compute(threads: 2).addSumSquares(g.view, of: samples, to: sums)
    for sample in 0..<4 {
      var (product, sum) = (0.0, 0.0)
      for row in 0..<outer {
        let total = layout.range(ofSample: sample).reduce(0) { $0 + g.elements[$1 * outer + row] }
        sum += total * total
        for column in 0..<inner {
          let entry = layout.range(ofSample: sample).reduce(0) {
            $0 + g.elements[$1 * outer + row] * x.elements[$1 * inner + column]
          }
          product += 9 * entry * entry
        }
      }
      // 150 terms an entry, in another order.
      #expect(abs(products[sample] - product) < 1e-12 * product)
      #expect(abs(sums[sample] - sum) < 1e-12 * sum)
    }
  }

  /// Rows of which every second one is nearly minus the one before it, in single precision: of 10⁴ times as much nearly nothing is left, which sums
  /// in single precision would not see. By both ways.
  @Test(arguments: [(70, 90), (400, 300)]) func `A sample whose rows cancel is clipped to the clip norm`(
    _ inner: Int, _ outer: Int
  ) {
    let count = 150
    let (x, g) = (MatrixBuffer<Float>(rows: count, columns: inner), MatrixBuffer<Float>(rows: count, columns: outer))
    let (inputs, changes) = (LayerHarness.noise(count * inner, seed: 1), LayerHarness.noise(count * inner, seed: 2))
    let gradients = LayerHarness.noise(count * outer, seed: 3)
    for row in 0..<count {
      let isSecond = row % 2 == 1
      let pair = isSecond ? row - 1 : row
      for column in 0..<inner {
        x.elements[row * inner + column] = Float(
          inputs[pair * inner + column] + (isSecond ? 1e-4 * changes[row * inner + column] : 0))
      }
      for column in 0..<outer {
        g.elements[row * outer + column] = Float(gradients[pair * outer + column]) * (isSecond ? -1 : 1)
      }
    }
    let (compute, squares) = (Compute(threads: 2), PartialSums(count: 1))
    compute.addProductSquares(
      g.view, x.view, of: SampleRows(tokensOf: LayerHarness.layout([count])), to: squares)
    let found = squares[0].squareRoot()
    func norm(_ matrix: MatrixBuffer<Float>, _ row: Int) -> Double {
      Self.norm(matrix.elements[(row * matrix.columns)..<((row + 1) * matrix.columns)].map { Double($0) })
    }
    let sizes = (0..<count).reduce(0) { $0 + norm(x, $1) * norm(g, $1) }
    var square = 0.0
    for row in 0..<outer {
      for column in 0..<inner {
        let entry = (0..<count).reduce(0) {
          $0 + Double(g.elements[$1 * outer + row]) * Double(x.elements[$1 * inner + column])
        }
        square += entry * entry
      }
    }
    let exact = square.squareRoot()
    #expect(exact < 1e-4 * sizes)
    // Never below, and above by the bound of rounding at most: 152 · 2⁻²⁴ of the sizes.
    #expect(found >= exact && found <= exact + 9.1e-6 * sizes)
    // What such a sample adds, scaled and summed in single precision.
    let clipNorm = 0.5 * exact
    let scaled = MatrixBuffer<Float>(rows: count, columns: outer)
    for index in 0..<count * outer { scaled.elements[index] = g.elements[index] * Float(clipNorm / found) }
    let product = MatrixBuffer<Float>(rows: outer, columns: inner)
    compute.multiplyOnCallingThread(scaled.view, transposeA: true, x.view, into: product.view)
    #expect(Self.norm(product.elements.map { Double($0) }) <= clipNorm)
  }

  @Test func `One sample beyond the clip norm gives a gradient of exactly that norm, one within it its own`() throws {
    let graph = try ModelGraph.perceptron(
      input: HomogeneousColumns(features: 6, padding: 1), hidden: [9], activation: .tanh, outputs: 3)
    let scene = Scene(graph: graph, lengths: [1], seed: 40)
    let norm = Self.norm(scene.sampleGradients()[0])
    let clipped = try scene.step(
      scene.engine(Double.self, clipNorm: norm / 8, expectedBatch: 1), part: 1)
    #expect(abs(clipped.gradientNorm - norm / 8) < 1e-14 * norm)
    let whole = try scene.step(scene.engine(Double.self, clipNorm: norm * 1.001, expectedBatch: 4), part: 1)
    #expect(abs(whole.gradientNorm - norm / 4) < 1e-14 * norm)
  }

  @Test(arguments: [Kind.bertTokenLora, .llamaAll]) func `Bits do not depend on threads`(_ kind: Kind) throws {
    let sequences = Scene(graph: try Self.graph(kind), lengths: [1, 3, 33, 2, 5, 1, 40, 4])
    let rows = Scene(
      graph: try .perceptron(
        input: HomogeneousColumns(features: 50, padding: 1), hidden: [90], activation: .gelu, outputs: 7),
      lengths: Array(repeating: 1, count: 300))
    for scene in [sequences, rows] {
      let bits = try [1, 2, 3].map { threads in
        let engine = try scene.engine(Float.self, clipNorm: 0.3, threads: threads, part: scene.lengths.count)
        for _ in 0..<2 { try scene.step(engine, part: scene.lengths.count) }
        return EngineHarness.bits(engine)
      }
      #expect(bits[0] == bits[1] && bits[0] == bits[2])
    }
  }
}
