import Models
import Numerics

@testable import Training

/// A small model over sequences: three blocks with a residual each, pooling, and a head; or a head on every token.
struct SequenceHarness {
  static let width = 6
  static let outputs = 3
  static let maximumTokens = 9
  static let samples = 12

  var isPerToken = false
  var maximumTokens = Self.maximumTokens
  /// Blocks from the first on that are frozen.
  var frozenBlocks = 0
  var recomputes = false
  var kind = OptimizerDescription.Kind.sgd
  let record = MixLayer.Record()

  var model: Model {
    let hidden = 10
    var values = [ModelValue(space: SpaceID("x"), width: Self.width, domain: .tokens)]
    var layers: [any Layer] = []
    var blocks: [Range<Int>] = []
    func add(_ width: Int, _ domain: RowDomain) -> Int {
      values.append(ModelValue(space: SpaceID("v\(values.count)"), width: width, domain: domain))
      return values.count - 1
    }
    var stream = 0
    for block in 0..<3 {
      let trained = block >= frozenBlocks
      let first = layers.count
      let up = add(hidden, .tokens)
      layers.append(
        MixLayer(
          "block\(block).up", from: stream, to: up, widths: (Self.width, hidden), trained: trained, record: record))
      let middle = add(hidden, .tokens)
      layers.append(
        MixLayer(
          "block\(block).middle", from: up, adding: up, to: middle, widths: (hidden, hidden), trained: trained,
          record: record))
      let down = add(Self.width, .tokens)
      layers.append(
        MixLayer(
          "block\(block).down", from: middle, adding: stream, to: down, widths: (hidden, Self.width),
          trained: trained, bends: block != 1, record: record))
      stream = down
      blocks.append(first..<layers.count)
    }
    if !isPerToken {
      let pooled = add(Self.width, .samples)
      layers.append(MeanLayer(inputs: [stream], output: pooled))
      stream = pooled
    }
    let output = add(Self.outputs, isPerToken ? .tokens : .samples)
    layers.append(
      MixLayer(
        "head", from: stream, to: output, widths: (Self.width, Self.outputs), trained: true, bends: false,
        record: record))
    return Model(
      structure: ModelStructure(spaces: [], layers: layers, input: SpaceID("x"), output: SpaceID("y")),
      values: values, layers: layers, recomputedBlocks: recomputes ? blocks : [],
      rules: SequenceRules(maximumTokens: maximumTokens, needsPooledTokens: !isPerToken))
  }

  func settings(partRows: Int?, trains: Bool = true) throws -> EngineSettings {
    let optimizer = OptimizerDescription(
      kind: kind, learningRate: 0.05, momentum: 0.9, nesterov: false, weightDecay: 0.01, clipNorm: 1)
    return try EngineSettings(
      model, optimizer: trains ? optimizer : nil, batchRows: Self.samples, partRows: partRows)
  }

  func engine<Element: FloatingElement>(
    _: Element.Type, partRows: Int? = 4, threads: Int = 2, trains: Bool = true
  ) throws -> TrainingEngine<Element> {
    let engine = try TrainingEngine<Element>(
      try settings(partRows: partRows, trains: trains), schedule: ScheduleDescription(warmup: 0, decay: .none),
      totalSteps: 20, compute: Compute(threads: threads))
    try engine.setParameters(
      model.structure.parameters.enumerated().map { index, parameter in
        Tensor(
          LayerHarness.noise(parameter.shape.reduce(1, *), seed: UInt64(index + 1)).map { Element($0) },
          shape: parameter.shape)
      })
    return engine
  }

  /// Samples of 1 to 9 tokens that follow the step.
  static func lengths(_ step: Int, _ rows: Range<Int>) -> [Int] {
    rows.map { 1 + ($0 * 5 + step * 3) % maximumTokens }
  }

  static func layout(_ lengths: [Int]) -> SequenceLayout {
    let offsets = lengths.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1) }
    return SequenceLayout(
      offsets: offsets, pooled: lengths.indices.map { offsets[$0] + ($0 % lengths[$0]) })
  }

  /// The same numbers for a sample in whatever part it comes.
  static func fill<Element: FloatingElement>(
    _ target: UnsafeMutableBufferPointer<Element>, _ step: Int, _ rows: Range<Int>
  ) {
    var next = 0
    for row in rows {
      let count = lengths(step, row..<row + 1)[0] * width
      for value in LayerHarness.noise(count, seed: UInt64(10_000 + 100 * step + row)) {
        target[next] = Element(value)
        next += 1
      }
    }
  }

  /// The pooled token must not depend on the part either.
  static func layout(_ step: Int, _ rows: Range<Int>) -> SequenceLayout {
    let lengths = lengths(step, rows)
    let offsets = layout(lengths).offsets
    return SequenceLayout(
      offsets: offsets, pooled: rows.enumerated().map { offsets[$0] + $1 % lengths[$0] })
  }

  static func forward<Element: FloatingElement>(
    _ engine: TrainingEngine<Element>, _ rows: Range<Int>
  ) throws -> Tensor<Element> {
    let step = engine.step
    return try engine.forward(rows: rows, sequences: layout(step, rows)) { fill($0, step, rows) }
  }

  /// ∂L/∂outputs for L = ½ Σ (y − ¼)² / samples.
  static func gradient<Element: FloatingElement>(_ outputs: Tensor<Element>) -> Tensor<Element> {
    Tensor(outputs.elements.map { ($0 - 0.25) / Element(samples) }, shape: outputs.shape)
  }

  /// One step in parts; `ahead` parts go forward before the first gradient is set.
  @discardableResult
  static func step<Element: FloatingElement>(
    _ engine: TrainingEngine<Element>, part: Int, ahead: Int = 1
  ) throws -> StepReport {
    try engine.beginBatch(rows: samples)
    var waiting: [(Range<Int>, Tensor<Element>)] = []
    func answerFirst() throws {
      let (rows, outputs) = waiting.removeFirst()
      try engine.setOutputGradient(gradient(outputs), rows: rows)
    }
    for start in stride(from: 0, to: samples, by: part) {
      let rows = start..<min(samples, start + part)
      waiting.append((rows, try forward(engine, rows)))
      if waiting.count == ahead { try answerFirst() }
    }
    while !waiting.isEmpty { try answerFirst() }
    return try engine.finishStep()
  }
}
