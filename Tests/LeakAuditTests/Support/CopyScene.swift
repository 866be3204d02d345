import Cryptography
import Foundations
import Models
import Numerics
import Protocol
import TestSupport
import Training

@testable import LeakAudit
@testable import Masking

/// A model of random weights, masked under several keys of its own plan: what a host has of copies, and the keys that it does not.
struct CopyScene {
  static let compute = Compute(threads: 2)

  let parameters: [ParameterSpecification]
  let plan: KeyPlan
  var weights: [Tensor<Float>]
  /// Nil of a transformer that only its weights are looked at of.
  private(set) var graph: ModelGraph?

  /// - Parameter kind: of the optimizer, which decides whether rotations or signed permutations are drawn.
  static func perceptron(
    features: Int = 12, padding: Int = 0, adapter: Int? = nil, hidden: [Int], activation: Activation,
    strength: MaskingStrength = .rotation, kind: OptimizerDescription.Kind = .sgd, seed: UInt64
  ) throws -> CopyScene {
    let graph = try ModelGraph.perceptron(
      input: HomogeneousColumns(features: features, padding: padding), adapter: adapter, hidden: hidden,
      activation: activation, outputs: 3)
    let model = Model(graph)
    let plan = try KeyResolver.resolve(
      structure: model.structure, masking: MaskingDescription(strength: strength, padding: padding, exact: false),
      optimizer: OptimizerDescription(
        kind: kind, learningRate: 0.1, momentum: 0, nesterov: false, weightDecay: 0, clipNorm: nil),
      lossConstraint: LossRules.constraint(
        on: model.structure.output, task: .classification, location: .owner, labelsMissing: false))
    return CopyScene(parameters: model.structure.parameters, plan: plan, seed: seed, graph: graph)
  }

  /// A language model whose outputs are moved, as a host that picks the largest needs it.
  static func decoder(words: Int, seed: UInt64) throws -> CopyScene {
    let graph = try ModelDescription.transformer(
      TransformerDescription(
        family: .llama, width: 24, blocks: 2, heads: 4, keyValueHeads: 2, headWidth: 6, hidden: 48, activation: .silu,
        normEpsilon: 1e-6, rotary: RotaryDescription(frequencies: [1, 0.5, 0.3]), hasAttentionBiases: false,
        hasMLPBiases: false,
        head: TransformerHead(pooling: .none, hasPooler: false, outputs: words, hasBias: false, isLanguageModel: true),
        trained: .all, maximumTokens: 64, recomputes: false)
    ).graph()
    let model = Model(graph)
    let plan = try KeyResolver.resolve(
      structure: model.structure, masking: MaskingDescription(strength: .rotation, padding: 0, exact: true),
      optimizer: OptimizerDescription(
        kind: .sgd, learningRate: 0.1, momentum: 0, nesterov: false, weightDecay: 0, clipNorm: nil),
      lossConstraint: SpaceConstraint(space: model.structure.output, largest: .permutation, reason: "test"))
    return CopyScene(parameters: model.structure.parameters, plan: plan, seed: seed, graph: graph)
  }

  init(_ transformer: SmallTransformer) {
    parameters = transformer.parameters
    plan = transformer.plan
    weights = transformer.weights
  }

  private init(parameters: [ParameterSpecification], plan: KeyPlan, seed: UInt64, graph: ModelGraph) {
    self.parameters = parameters
    self.plan = plan
    self.graph = graph
    var random = SplitMix(seed: seed)
    weights = parameters.map { parameter in
      var tensor = Tensor((0..<parameter.shape.reduce(1, *)).map { _ in random.nextValue() }, shape: parameter.shape)
      if let homogeneous = parameter.homogeneous {
        for row in 0..<tensor.rows {
          for column in homogeneous.features + 1..<homogeneous.width { tensor[row, column] = 0 }
        }
      }
      return tensor
    }
  }

  var groups: [SpaceID: SymmetryGroup] {
    Dictionary(plan.rows.map { ($0.space, $0.group) }, uniquingKeysWith: { first, _ in first })
  }

  func keys<Element: FloatingElement>(_ number: UInt8) -> JobKeys<Element> {
    let secret = (0..<32).map { UInt8(truncatingIfNeeded: $0 * 7) ^ number }
    return JobKeys(
      master: MasterKey(job: .none, secret: secret.withUnsafeBytes { SecretBuffer(copying: $0) }), plan: plan,
      compute: Self.compute)
  }

  func copy<Element: FloatingElement>(_ number: UInt8) throws -> [Tensor<Element>] {
    try keys(number).maskParameters(weights.map { $0.converted(to: Element.self) }, parameters)
  }

  /// T and δ, `[w, d + 1]`; of a transformer K, `[w, w]`.
  func key(_ number: UInt8) throws -> Tensor<Double> {
    let keys: JobKeys<Double> = keys(number)
    return try keys.inputMatrix()
  }

  func relation<Element: FloatingElement>(
    _ first: [Tensor<Element>], _ second: [Tensor<Element>]
  ) throws -> CopyRelation? {
    try CopyMatching(compute: Self.compute).relation(
      parameters: parameters, groups: groups, input: plan.input.space, from: first, to: second,
      until: Deadline(after: .seconds(300)))
  }

  /// ‖R K₁ − K₂‖ of the keys of two copies, with the better sign where R has none.
  func error(_ relation: CopyRelation, _ first: UInt8, _ second: UInt8) throws -> Double {
    let turned = relation.matrix.times(try key(first), compute: Self.compute)
    let other = try key(second)
    var negated = turned
    negated.negate()
    let error = turned.squaredDistance(to: other)
    return (relation.hasSign ? error : min(error, negated.squaredDistance(to: other))).squareRoot()
  }

  /// What a host sees of questions and of two copies, the second of them a leagued client's, and the truth.
  func evidence(
    rows: Tensor<Float>, other: CopyScene? = nil, traits: JobTraits = .sample()
  ) throws -> Evidence {
    func view(_ keys: JobKeys<Float>, _ others: JobKeys<Float>, _ second: CopyScene) throws -> ProviderView {
      let weights = try keys.maskParameters(weights, parameters)
      return ProviderView(
        inputs: try keys.maskInputs(rows), lengths: nil, groups: groups, input: plan.input.space,
        parameters: parameters,
        initialWeights: weights, finalWeights: weights, outputs: Tensor(zeros: [0, 3]),
        targets: .gradients(Tensor(zeros: [0, 3])),
        deployment: DeploymentView(
          otherWeights: try others.maskParameters(second.weights, parameters), leagueKey: try others.inputMatrix()))
    }
    func truth(_ keys: JobKeys<Float>) throws -> OwnerTruth {
      OwnerTruth(
        rows: rows, tokens: nil, positions: nil, labels: .classes([]), inputKey: try keys.inputMatrix(),
        deployment: DeploymentTruth())
    }
    let identity = JobKeys<Float>(master: MasterKey(), plan: plan.unmasked, compute: Self.compute)
    return Evidence(
      masked: try view(keys(1), keys(2), other ?? self), control: try view(identity, identity, self),
      truth: try truth(keys(1)), controlTruth: try truth(identity),
      knowledge: PublicKnowledge(
        sampleRows: Tensor(zeros: [0, rows.columns]), sampleTexts: nil, baseWeights: nil, vocabulary: nil),
      traits: traits, shadows: nil)
  }
}
