import Foundation
import Models
import Numerics
import Protocol
import Testing

@testable import Training

/// How far PyTorch's autocast strays from its own float64 twin (Fixtures/write_bfloat16_fixtures.py).
struct BFloat16Fixture: Decodable, Sendable {
  struct Run: Decodable, Sendable {
    let name: String
    let kind: OptimizerDescription.Kind
    let inputSeed: UInt64
    let learningRate: Double
    let momentum: Double
    let weightDecay: Double
    /// Of the float64 twin.
    let losses: [Double]
    /// √Σ(w − w₀)² of the twin over all trained parameters, and √Σ(w − twin)² under autocast.
    let movement: Double
    let distance: Double
    let weights: [String: TransformerFixture.Formula]
  }

  let lengths: [Int]
  let classes: Int
  let width: Int
  let runs: [Run]

  static let read = Result { try Fixture.read("bfloat16", as: BFloat16Fixture.self) }

  /// Runs of one model and optimizer, which differ in their numbers.
  func runs(_ name: String, _ kind: OptimizerDescription.Kind) -> [Run] {
    runs.filter { $0.name == name && $0.kind == kind }
  }

  func graph(_ name: String, recomputes: Bool = false) throws -> ModelGraph {
    let isLlama = name == "llama"
    let adaptation = LowRankAdaptation(rank: 4, alpha: 8, targets: ["query", "value"])
    return try ModelDescription.transformer(
      TransformerDescription(
        family: isLlama ? .llama : .bert, width: width, blocks: 2, heads: 4, keyValueHeads: isLlama ? 2 : 4,
        headWidth: width / 4, hidden: isLlama ? 96 : 128, activation: isLlama ? .silu : .gelu,
        normEpsilon: isLlama ? 1e-5 : 1e-12,
        rotary: isLlama ? RotaryDescription(frequencies: (0..<8).map { pow(10_000, -2 * Double($0) / 16) }) : nil,
        hasAttentionBiases: !isLlama, hasMLPBiases: !isLlama,
        head: TransformerHead(
          pooling: isLlama ? .last : .cls, hasPooler: !isLlama, outputs: classes, hasBias: !isLlama,
          isLanguageModel: false),
        trained: name == "lora" ? .lora(adaptation) : .all, maximumTokens: 12, recomputes: recomputes)
    ).graph()
  }

  func layout(_ name: String, samples: Range<Int>) -> SequenceLayout {
    SequenceLayout(
      lengths: lengths[samples].map { Int32($0) }, pooled: lengths[samples].map { name == "llama" ? Int32($0) - 1 : 0 })
  }

  func engine<Element: FloatingElement>(
    _ run: Run, _: Element.Type, compute: Compute, recomputes: Bool = false, partRows: Int? = nil
  ) throws -> TrainingEngine<Element> {
    let graph = try graph(run.name, recomputes: recomputes)
    return try TrainingEngine(
      model: graph,
      optimizer: OptimizerDescription(
        kind: run.kind, learningRate: run.learningRate, momentum: run.momentum, nesterov: false,
        weightDecay: run.weightDecay, clipNorm: nil),
      schedule: ScheduleDescription(warmup: 0, decay: .none), totalSteps: run.losses.count, batchRows: lengths.count,
      partRows: partRows, compute: compute,
      parameters: Model(graph).structure.parameters.map { parameter in
        let formula = try #require(run.weights[parameter.name], "\(parameter.name)")
        return Tensor(
          LayerHarness.noise(parameter.shape.reduce(1, *), seed: formula.seed).map {
            Element(formula.offset + formula.scale * $0)
          }, shape: parameter.shape)
      })
  }

  /// One step over the whole batch, in parts of `part` samples; returns its loss.
  ///
  /// - Parameter rowsTravel: whether rows are rounded as they are on their way to a trainer.
  @discardableResult
  func step<Element: FloatingElement>(
    _ engine: TrainingEngine<Element>, _ run: Run, part: Int? = nil, rowsTravel: Bool = false
  ) throws -> Double {
    let rows = LayerHarness.noise(lengths.reduce(0, +) * width, seed: run.inputSeed)
    try engine.beginBatch(rows: lengths.count)
    var loss = 0.0
    for start in stride(from: 0, to: lengths.count, by: part ?? lengths.count) {
      let samples = start..<min(lengths.count, start + (part ?? lengths.count))
      let first = lengths[..<start].reduce(0, +) * width
      let outputs = try engine.forward(rows: samples, sequences: layout(run.name, samples: samples)) { target in
        for index in target.indices {
          let row = rows[first + index] * 1.7
          target[index] = rowsTravel ? Element(BFloat16(Float(row)).widened) : Element(row)
        }
      }
      let result = try LossFunction(task: .classification).evaluate(
        outputs: outputs, targets: .classes(samples.map { Int32($0 % classes) }), normalizer: Double(lengths.count))
      loss += result.lossSum
      try engine.setOutputGradient(result.gradient, rows: samples)
    }
    _ = try engine.finishStep()
    return loss / Double(lengths.count)
  }
}

/// √Σ(a − b)² over the trained parameters of two engines of one model.
func distance<A: FloatingElement, B: FloatingElement>(_ a: TrainingEngine<A>, _ b: TrainingEngine<B>) -> Double {
  var sum = 0.0
  for (index, parameter) in a.model.structure.parameters.enumerated() where parameter.isTrained {
    let (left, right) = (a.parameters[index].elements, b.parameters[index].elements)
    for (x, y) in zip(left, right) { sum += (Double(x) - Double(y)) * (Double(x) - Double(y)) }
  }
  return sum.squareRoot()
}
