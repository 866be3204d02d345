import Models
import Cryptography
import Foundations
import LeakAudit
import Numerics
import Protocol
import Testing
import TestSupport
import Training

@testable import Masking

/// A transformer of random weights with a vocabulary, masked by the job's own keys: what an attack sees of it, and the truth.
///
/// Weights are drawn without any structure of their own, so that what an attack finds it finds by comparing.
struct SmallTransformer {
  var parameters: [ParameterSpecification]
  /// What is trained from.
  var weights: [Tensor<Float>]
  /// What the public knows, or thinks it does.
  var base: [Tensor<Float>]
  let vocabulary: TokenVocabulary
  let plan: KeyPlan
  private let seed: UInt64

  static let compute = Compute(threads: 2)

  static func bert(
    width: Int = 24, blocks: Int = 2, words: Int = 120, activation: Activation = .gelu,
    strength: MaskingStrength = .rotation, seed: UInt64
  ) throws -> SmallTransformer {
    try SmallTransformer(
      TransformerDescription(
        family: .bert, width: width, blocks: blocks, heads: 4, keyValueHeads: 4, headWidth: width / 4,
        hidden: 2 * width, activation: activation, normEpsilon: 1e-12, rotary: nil, hasAttentionBiases: true,
        hasMLPBiases: true,
        head: TransformerHead(pooling: .cls, hasPooler: true, outputs: 3, hasBias: true, isLanguageModel: false),
        trained: .all, maximumTokens: 16, recomputes: false), words: words, strength: strength, seed: seed)
  }

  /// 4 heads of queries in 2 groups.
  static func llama(
    width: Int = 24, blocks: Int = 3, words: Int = 120, strength: MaskingStrength = .rotation, seed: UInt64
  ) throws -> SmallTransformer {
    let headWidth = width / 4 / 2 * 2
    return try SmallTransformer(
      TransformerDescription(
        family: .llama, width: width, blocks: blocks, heads: 4, keyValueHeads: 2, headWidth: headWidth,
        hidden: 2 * width, activation: .silu, normEpsilon: 1e-6,
        rotary: RotaryDescription(frequencies: (0..<headWidth / 2).map { 1 / Double(1 + $0) }),
        hasAttentionBiases: false, hasMLPBiases: false,
        head: TransformerHead(pooling: .last, hasPooler: false, outputs: 3, hasBias: false, isLanguageModel: false),
        trained: .all, maximumTokens: 64, recomputes: false), words: words, strength: strength, seed: seed)
  }

  private init(
    _ description: TransformerDescription, words: Int, strength: MaskingStrength, seed: UInt64
  ) throws {
    let model = try Model(ModelDescription.transformer(description).graph())
    parameters = model.structure.parameters
    weights = Self.weights(parameters, seed: seed)
    base = weights
    self.seed = seed
    var random = SplitMix(seed: seed ^ 0xABCD)
    func table(_ rows: Int, scale: Float = 1) -> Tensor<Float> {
      Tensor((0..<rows * description.width).map { _ in scale * random.nextValue() }, shape: [rows, description.width])
    }
    let isEncoder = description.family == .bert
    vocabulary = TokenVocabulary(
      words: table(words), positions: isEncoder ? table(description.maximumTokens, scale: 0.3) : nil,
      types: isEncoder ? table(2, scale: 0.1) : nil,
      gain: isEncoder
        ? Tensor((0..<description.width).map { _ in 1 + 0.3 * random.nextValue() }, shape: [description.width]) : nil,
      shift: isEncoder
        ? Tensor((0..<description.width).map { _ in 0.3 * random.nextValue() }, shape: [description.width]) : nil)
    plan = try KeyResolver.resolve(
      structure: model.structure, masking: MaskingDescription(strength: strength, padding: 0, exact: true),
      optimizer: OptimizerDescription(
        kind: .sgd, learningRate: 0.1, momentum: 0, nesterov: false, weightDecay: 0, clipNorm: nil),
      lossConstraint: LossRules.constraint(
        on: model.structure.output, task: .classification, location: .owner, labelsMissing: false))
  }

  static func weights(_ parameters: [ParameterSpecification], seed: UInt64) -> [Tensor<Float>] {
    var random = SplitMix(seed: seed)
    return parameters.map { parameter in
      let isGain = parameter.name.hasSuffix("LayerNorm.weight")
      return Tensor(
        (0..<parameter.shape.reduce(1, *)).map { _ in (isGain ? 1 : 0) + 0.2 * random.nextValue() },
        shape: parameter.shape)
    }
  }

  /// The vectors of tokens at their positions in their samples.
  func rows(_ samples: [[Int32]], type: Int = 0) -> Tensor<Float> {
    let width = vocabulary.words.columns
    var elements: [Float] = []
    for sample in samples {
      for (position, token) in sample.enumerated() {
        var vector = (0..<width).map { vocabulary.words[Int(token), $0] }
        if let positions = vocabulary.positions, let types = vocabulary.types, let gain = vocabulary.gain,
          let shift = vocabulary.shift
        {
          for column in 0..<width { vector[column] += positions[position, column] + types[type, column] }
          let mean = vector.reduce(0, +) / Float(width)
          let deviation = (vector.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Float(width)).squareRoot()
          for column in 0..<width {
            vector[column] = (vector[column] - mean) / deviation * gain[column] + shift[column]
          }
        }
        elements += vector
      }
    }
    return Tensor(elements, shape: [elements.count / width, width])
  }

  /// - Parameters:
  ///   - samples: token ids; encoders' are sent in a secret order.
  ///   - noise: standard deviation of what is added to the masked rows.
  ///   - masked: false for the control.
  func view(_ samples: [[Int32]], noise: Float = 0, masked: Bool = true) throws -> (
    view: ProviderView, truth: OwnerTruth
  ) {
    var random = SplitMix(seed: seed ^ 0x1234)
    var positions = samples.map { Array($0.indices) }
    if vocabulary.positions != nil { for index in positions.indices { positions[index].shuffle(using: &random) } }
    let ordered = rows(samples)
    let width = ordered.columns
    var (elements, tokens, places, start): ([Float], [Int32], [Int32], Int) = ([], [], [], 0)
    for (sample, order) in zip(samples, positions) {
      for position in order {
        elements += (0..<width).map { ordered[start + position, $0] }
        tokens.append(sample[position])
        places.append(Int32(position))
      }
      start += sample.count
    }
    let plain = Tensor(elements, shape: [tokens.count, width])
    let key = MasterKey(
      job: .none,
      secret: (0..<32).map { UInt8(truncatingIfNeeded: seed >> (UInt64($0) % 8)) ^ $0 }.withUnsafeBytes {
        SecretBuffer(copying: $0)
      })
    let keys = JobKeys<Float>(master: key, plan: plan, compute: Self.compute)
    let exact = JobKeys<Double>(master: key, plan: plan, compute: Self.compute)
    var inputs = masked ? try keys.maskInputs(plain) : plain
    for index in 0..<inputs.count where noise > 0 { inputs[index] += noise * random.nextValue() }
    var identity = Tensor<Double>(zeros: [width, width])
    for index in 0..<width { identity[index, index] = 1 }
    // Rows of the identity as inputs give the columns of K.
    let inputKey = masked ? try exact.maskInputs(identity).transposed : identity
    let initial = masked ? try keys.maskParameters(weights, parameters) : weights
    let groups = Dictionary(plan.rows.map { ($0.space, $0.group) }, uniquingKeysWith: { first, _ in first })
    let outputs = Tensor<Float>(zeros: [samples.count, 3])
    return (
      ProviderView(
        inputs: inputs, lengths: samples.map { Int32($0.count) }, isRotary: vocabulary.positions == nil,
        groups: groups, input: plan.input.space, parameters: parameters, initialWeights: initial, finalWeights: initial,
        outputs: outputs,
        targets: .gradients(outputs)),
      OwnerTruth(
        rows: plain, tokens: tokens, positions: places,
        labels: .classes([Int32](repeating: 0, count: samples.count)), inputKey: inputKey)
    )
  }

  func evidence(_ samples: [[Int32]], sampleTexts: [[Int32]]?, noise: Float = 0, isPublic: Bool = true) throws
    -> Evidence
  {
    let (masked, truth) = try view(samples, noise: noise)
    let (control, controlTruth) = try view(samples, noise: noise, masked: false)
    return Evidence(
      masked: masked, control: control, truth: truth, controlTruth: controlTruth,
      knowledge: PublicKnowledge(
        sampleRows: Tensor(zeros: [0, truth.rows.columns]), sampleTexts: sampleTexts,
        baseWeights: isPublic ? base : nil, vocabulary: isPublic ? vocabulary : nil),
      traits: .sample(), shadows: nil)
  }
}
