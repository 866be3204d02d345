import Cryptography
import Foundation
import Masking
import Models
import Numerics
import Protocol
import TestSupport
import Testing
import Training

/// Differentially private steps under keys: orthogonal keys keep every sample's norm, so that a masked engine clips as a plaintext one does, and
/// turn Gaussian noise into Gaussian noise, so that the unmasked weights are those of a plaintext engine whose noise is the unmasked one.
@Suite struct MaskedPrivateStepTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let name: String
    let graph: ModelGraph
    let strength: MaskingStrength

    var testDescription: String { "\(name), \(strength)" }

    private static func transformer(
      _ family: TransformerFamily, _ trained: TrainedPart, pooling: TokenPooling
    ) -> ModelGraph {
      let isLlama = family == .llama
      return .transformer(
        TransformerDescription(
          family: family, width: 8, blocks: 2, heads: 4, keyValueHeads: isLlama ? 2 : 4, headWidth: 2, hidden: 12,
          activation: isLlama ? .silu : .gelu, normEpsilon: 1e-6,
          rotary: isLlama ? RotaryDescription(frequencies: [0.7]) : nil, hasAttentionBiases: !isLlama,
          hasMLPBiases: !isLlama,
          head: TransformerHead(
            pooling: pooling, hasPooler: false, outputs: 3, hasBias: !isLlama, isLanguageModel: pooling == .none),
          trained: trained, maximumTokens: 9, recomputes: false))
    }

    static let all: [Case] = [MaskingStrength.rotation, .permutation, .inputOnly].flatMap { strength in
      let lora = LowRankAdaptation(rank: 2, alpha: 4, targets: ["query", "value"])
      let projections = LowRankAdaptation(rank: 2, alpha: 4, targets: ["q_proj", "k_proj", "o_proj", "down_proj"])
      let perceptrons = Activation.allCases.compactMap { activation in
        (try? ModelGraph.perceptron(
          input: HomogeneousColumns(features: 6, padding: 2), hidden: [7, 5], activation: activation, outputs: 3)).map {
            Case(name: "\(activation)", graph: $0, strength: strength)
          }
      }
      return perceptrons + [
        Case(name: "BERT, LoRA", graph: transformer(.bert, .lora(lora), pooling: .cls), strength: strength),
        Case(name: "BERT, head", graph: transformer(.bert, .head, pooling: .mean), strength: strength),
        Case(name: "Llama, LoRA", graph: transformer(.llama, .lora(projections), pooling: .last), strength: strength),
        Case(name: "Llama, all", graph: transformer(.llama, .all, pooling: .last), strength: strength),
      ]
    }
  }

  private static let samples = 6
  private static let clipping = Result { try SampleClipping(clipNorm: 0.4, expectedBatch: 5) }

  private static func noise(_ count: Int, _ seed: UInt64) -> [Double] {
    var random = SplitMix(seed: seed)
    return (0..<count).map { _ in Double.random(in: -1...1, using: &random) }
  }

  /// The noise that another engine's has when it is unmasked.
  private struct UnmaskedNoise: GradientCorrection {
    let masked: GaussianNoise<Double>
    let keys: JobKeys<Double>
    let specifications: [ParameterSpecification]

    func add(
      _ number: Int, step: Int, weights: UnsafeBufferPointer<Double>,
      to gradient: UnsafeMutableBufferPointer<Double>
    ) {
      var drawn = Tensor<Double>(zeros: specifications[number].shape)
      drawn.withUnsafeMutableBufferPointer { masked.add(number, step: step, weights: weights, to: $0) }
      guard let noise = try? keys.unmaskParameter(drawn, specifications[number]) else { return }
      for index in gradient.indices { gradient[index] += noise[index] }
    }
  }

  private func engine(_ graph: ModelGraph, _ parameters: [Tensor<Double>]) throws -> TrainingEngine<Double> {
    try TrainingEngine(
      model: graph, optimizer: SmallJob.sgd(decay: 0.01), schedule: ScheduleDescription(warmup: 0, decay: .linear),
      totalSteps: 6, batchRows: Self.samples, partRows: 4, sampleClipping: Self.clipping.get(),
      compute: Compute(threads: 1), parameters: parameters)
  }

  @Test(arguments: Case.all) func `Unmasked, the weights are those of plaintext training`(_ scene: Case) throws {
    let structure = Model(scene.graph).structure
    let plan = try KeyResolver.resolve(
      structure: structure, masking: MaskingDescription(strength: scene.strength, padding: 2, exact: true),
      optimizer: SmallJob.sgd(),
      lossConstraint: LossRules.constraint(
        on: structure.output, task: .classification, location: .owner, labelsMissing: false))
    let keys = JobKeys<Double>(master: MasterKey(), plan: plan, compute: Compute(threads: 1))
    // [W | b | 0_k]: zeros under the padding.
    let parameters = structure.parameters.enumerated().map { index, specification in
      var tensor = Tensor(
        Self.noise(specification.shape.reduce(1, *), UInt64(index)).map { 0.6 * $0 }, shape: specification.shape)
      if let layout = specification.homogeneous {
        for row in 0..<tensor.rows {
          for column in layout.features + 1..<layout.width { tensor[row, column] = 0 }
        }
      }
      return tensor
    }
    let plain = try engine(scene.graph, parameters)
    let masked = try engine(scene.graph, keys.maskParameters(parameters, structure.parameters))
    let secret = withUnsafeBytes(of: (UInt64(1), UInt64(2), UInt64(3), UInt64(4))) { SecretBuffer(copying: $0) }
    let noise = GaussianNoise<Double>(
      NoiseSource(secret: secret, context: "job"), noiseMultiplier: 1.2, clipping: try Self.clipping.get(),
      workers: Workers(threads: 1))
    let unmasked = UnmaskedNoise(
      masked: noise, keys: keys, specifications: structure.parameters.filter(\.isTrained))
    for step in 0..<5 {
      // The third batch has no rows.
      let rows = step == 2 ? 0 : Self.samples
      try plain.beginBatch(rows: rows)
      try masked.beginBatch(rows: rows)
      for first in stride(from: 0, to: rows, by: 4) {
        try part(scene, keys, plain, masked, first..<min(rows, first + 4), step)
      }
      let reports = (try plain.finishStep(correction: unmasked), try masked.finishStep(correction: noise))
      #expect(abs(reports.0.gradientNorm - reports.1.gradientNorm) < 1e-10 * reports.0.gradientNorm)
    }
    for (specification, pair) in zip(structure.parameters, zip(masked.parameters, plain.parameters)) {
      let back = try keys.unmaskParameter(pair.0, specification)
      // Numbers of order 1 through some ten layers and five steps, each of at most a few hundred roundings of 1.1e-16.
      #expect(
        zip(back.elements, pair.1.elements).allSatisfy { abs($0 - $1) < 1e-10 }, "\(specification.name)")
    }
  }

  /// The rows of one part through both engines, with the loss at the owner.
  private func part(
    _ scene: Case, _ keys: JobKeys<Double>, _ plain: TrainingEngine<Double>, _ masked: TrainingEngine<Double>,
    _ rows: Range<Int>, _ step: Int
  ) throws {
    let isSequences = scene.graph.maximumTokens != nil
    let lengths = rows.map { isSequences ? 1 + ($0 * 5 + step) % 9 : 1 }
    let layout = SequenceLayout(lengths: lengths.map { Int32($0) }, pooled: lengths.map { Int32($0 - 1) })
    let features = isSequences ? scene.graph.input.width : 6
    // Some samples are large and are clipped.
    var values: [Double] = []
    for (row, length) in zip(rows, lengths) {
      let scale = row % 2 == 0 ? 0.2 : 3
      values += Self.noise(length * features, UInt64(1000 * step + row)).map { $0 * scale }
    }
    let inputs = Tensor(values, shape: [layout.tokens, features])
    var homogeneous: [Double] = values
    if !isSequences {
      homogeneous = []
      for row in 0..<rows.count { homogeneous += values[row * features..<(row + 1) * features] + [1.0, 0.0, 0.0] }
    }
    let sequences = isSequences ? layout : nil
    let plainOutputs = try plain.forward(rows: rows, sequences: sequences) {
      _ = $0.update(fromContentsOf: homogeneous)
    }
    let maskedOutputs = try masked.forward(rows: rows, sequences: sequences) { target in
      guard let hidden = try? keys.maskInputs(inputs) else { return }
      _ = target.update(fromContentsOf: hidden.elements)
    }
    let targets = Targets<Double>.classes(rows.map { Int32($0 % 3) })
    let loss = LossFunction(task: .classification)
    try plain.setOutputGradient(
      loss.evaluateEachSample(outputs: plainOutputs, targets: targets).gradient, rows: rows)
    try masked.setOutputGradient(
      keys.maskOutputGradient(
        loss.evaluateEachSample(outputs: keys.unmaskOutputs(maskedOutputs), targets: targets).gradient), rows: rows)
  }
}
