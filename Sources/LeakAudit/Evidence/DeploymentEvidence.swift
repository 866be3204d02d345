package import Families
package import Masking
package import Models
package import Numerics
package import OwnerRole
import Protocol

/// A model as its owner has it before it is masked for a host, and what an audit must know of it.
package struct AuditedModel: Sendable {
  package let traits: JobTraits
  package let graph: ModelGraph
  package let parameters: [ParameterSpecification]
  package let plan: KeyPlan
  package let masking: MaskingDescription
  /// Plaintext, in the order of `parameters`.
  package let weights: [Tensor<Float>]
  /// The public checkpoint that they were trained from, in the same order; nil where there is none.
  package let base: [Tensor<Float>]?
  /// Of a model that reads tokens; nil for rows of features.
  package let tokens: Tokens?

  package struct Tokens: Sendable {
    package let embedding: TokenEmbedding<Float>
    package let settings: TokenSettings

    package init(embedding: TokenEmbedding<Float>, settings: TokenSettings) {
      self.embedding = embedding
      self.settings = settings
    }
  }

  package init(
    traits: JobTraits, graph: ModelGraph, parameters: [ParameterSpecification], plan: KeyPlan,
    masking: MaskingDescription, weights: [Tensor<Float>], base: [Tensor<Float>]?, tokens: Tokens?
  ) {
    self.traits = traits
    self.graph = graph
    self.parameters = parameters
    self.plan = plan
    self.masking = masking
    self.weights = weights
    self.base = base
    self.tokens = tokens
  }
}

extension QuestionContent {
  fileprivate func selecting(_ numbers: some Collection<Int>) -> QuestionContent {
    switch self {
    case .features(let rows): .features(rows.selecting(rows: numbers))
    case .tokens(let samples): .tokens(numbers.map { samples[$0] })
    }
  }
}

/// What a deployment's host sees of samples that are asked about, and of two copies of the model; and the same with nothing masked.
package struct DeploymentEvidence {
  /// Questions that are asked again, and new ones among them, at most.
  private static let maxRepeats = 512
  /// Below it there are no rows to repeat, to hold back, and to know.
  static let minQuestions = 8

  private let model: AuditedModel
  private let questions: QuestionContent
  private let key: MasterKey
  private let other: MasterKey
  private let compute: Compute

  /// - Parameters:
  ///   - questions: five eighths are asked, an eighth is asked later, and the rest is what the public might have.
  ///   - key: that the questions are masked under.
  ///   - other: that the other copy is masked under, and that a client in league with the host has.
  package init(
    model: AuditedModel, questions: QuestionContent, key: MasterKey, other: MasterKey, compute: Compute
  ) {
    self.model = model
    self.questions = questions
    self.key = key
    self.other = other
    self.compute = compute
  }

  /// - Parameter end: when to be done; a language model generates less then. Nil for no limit.
  /// - Throws: `OwnerError.unfitData` for too few samples; `MaskingError`, `TrainingError`.
  package func collect(until end: ContinuousClock.Instant? = nil) throws -> Evidence {
    guard questions.rows >= Self.minQuestions else {
      throw OwnerError.unfitData(
        "an audit needs \(Self.minQuestions) samples at least, and there are \(questions.rows)")
    }
    let parts = Parts(questions.rows, maxRepeats: Self.maxRepeats)
    let asked = try side(model.plan, key)
    let other = try side(model.plan, other)
    // Under no key the other copy is the same.
    let plain = try side(model.plan.unmasked, key)
    let drawn = try generation(parts, asked, until: end)
    let noise = InputNoise(model.masking, master: MasterKey(), for: .prediction)
    let masked = try view(asked, beside: other, parts, noise: noise, generation: drawn?.masked)
    let control = try view(plain, beside: plain, parts, noise: nil, generation: drawn?.plain)
    let rows = try rows(parts, asked.keys)
    func truth(_ side: Side, chosen: [Int32]) -> OwnerTruth {
      OwnerTruth(
        rows: rows.rows, tokens: rows.ids, positions: rows.positions, labels: .classes([]), inputKey: side.inputKey,
        deployment: DeploymentTruth(repeats: parts.repeats, lengths: masked.lengths, chosen: chosen))
    }
    return Evidence(
      masked: masked, control: control, truth: truth(asked, chosen: drawn?.maskedChosen ?? []),
      controlTruth: truth(plain, chosen: drawn?.chosen ?? []), knowledge: knowledge(parts), traits: model.traits,
      shadows: nil)
  }

  /// A masked copy of the model, and the key that it is masked under.
  private struct Side {
    let keys: JobKeys<Float>
    let weights: [Tensor<Float>]
    let inputKey: Tensor<Double>
  }

  private func side(_ plan: KeyPlan, _ master: MasterKey) throws -> Side {
    let keys = JobKeys<Float>(master: master, plan: plan, compute: compute)
    return Side(
      keys: keys, weights: try keys.maskParameters(model.weights, model.parameters), inputKey: try keys.inputMatrix())
  }

  /// Which samples are asked, which later, and which the public has.
  private struct Parts {
    let asked: [Int]
    /// The first so many of `asked`, then new ones.
    let later: [Int]
    let repeats: [Int]
    let publicSample: [Int]

    init(_ count: Int, maxRepeats: Int) {
      // Files are often in the order of their classes.
      let order = (0..<count).shuffled()
      asked = Array(order[..<(count * 5 / 8)])
      let again = min(maxRepeats, asked.count / 2)
      let fresh = min(maxRepeats, count / 8)
      later = Array(asked[..<again]) + Array(order[asked.count..<asked.count + fresh])
      repeats = Array(0..<again) + [Int](repeating: -1, count: fresh)
      publicSample = Array(order[(asked.count + fresh)...])
    }
  }

  private func view(
    _ side: Side, beside other: Side, _ parts: Parts, noise: InputNoise?, generation: GenerationView?
  ) throws -> ProviderView {
    let plan = side.keys.plan
    let asked = try masked(questions.selecting(parts.asked), from: 0, side.keys, noise)
    let later = try masked(questions.selecting(parts.later), from: parts.asked.count, side.keys, noise)
    return ProviderView(
      inputs: asked.rows, lengths: asked.lengths, isRotary: !model.graph.rotaryFrequencies.isEmpty,
      groups: Dictionary(plan.rows.map { ($0.space, $0.group) }, uniquingKeysWith: { first, _ in first }),
      input: plan.input.space, parameters: model.parameters, initialWeights: side.weights, finalWeights: side.weights,
      outputs: Tensor(zeros: [0, 1]), targets: .gradients(Tensor(zeros: [0, 1])),
      deployment: DeploymentView(
        otherWeights: other.weights, leagueKey: other.inputKey,
        later: LaterQuestions(inputs: later.rows, lengths: later.lengths), generation: generation))
  }

  /// - Parameter first: number of the first question: each has noise and an order of tokens of its own.
  private func masked(
    _ questions: QuestionContent, from first: Int, _ keys: JobKeys<Float>, _ noise: InputNoise?
  ) throws -> (rows: Tensor<Float>, lengths: [Int32]?) {
    let numbers = (0..<questions.rows).map { Int32(first + $0) }
    switch questions {
    case .features(var rows):
      try noise?.add(to: &rows, numbers: numbers, workers: compute.workers)
      return (try keys.maskInputs(rows), nil)
    case .tokens(let samples):
      let delivery = try packer(keys, noise).pack(samples, slots: numbers, pass: 0)
      return (delivery.values, delivery.lengths.elements)
    }
  }

  private func packer(_ keys: JobKeys<Float>, _ noise: InputNoise?) throws -> TokenPacker<Float> {
    guard let tokens = model.tokens else { throw OwnerError.unfitData("the model reads rows of features, not tokens") }
    return TokenPacker(
      embedding: tokens.embedding, keys: keys, master: key, noise: noise, settings: tokens.settings, compute: compute)
  }

  /// What is asked, in the order it is sent in.
  private func rows(
    _ parts: Parts, _ keys: JobKeys<Float>
  ) throws -> (rows: Tensor<Float>, ids: [Int32]?, positions: [Int32]?) {
    switch questions.selecting(parts.asked) {
    case .features(let rows): return (rows, nil, nil)
    case .tokens(let samples):
      let orders = try packer(keys, nil).orders(pass: 0)
      let sent = samples.enumerated().flatMap { number, sample in
        orders(sample.count, Int32(number)).map { sample[$0] }
      }
      let vectors = model.tokens?.embedding.vectors(sent, workers: compute.workers) ?? Tensor(zeros: [0, 0])
      return (vectors, sent.map(\.id), sent.map(\.position))
    }
  }

  private func knowledge(_ parts: Parts) -> PublicKnowledge {
    let vocabulary = model.base == nil ? nil : model.tokens?.embedding.vocabulary
    switch questions.selecting(parts.publicSample) {
    case .features(let rows):
      return PublicKnowledge(sampleRows: rows, sampleTexts: nil, baseWeights: model.base, vocabulary: nil)
    case .tokens(let samples):
      let vectors = model.tokens?.embedding.vectors(samples.flatMap { $0 }, workers: compute.workers)
      return PublicKnowledge(
        sampleRows: vectors ?? Tensor(zeros: [0, 0]), sampleTexts: samples.map { $0.map(\.id) },
        baseWeights: model.base,
        vocabulary: vocabulary)
    }
  }

  private func generation(
    _ parts: Parts, _ side: Side, until end: ContinuousClock.Instant?
  ) throws -> GeneratedSessions? {
    guard model.traits.task == .causalLanguageModel, let embedding = model.tokens?.embedding,
      case .tokens(let prompts) = questions.selecting(parts.asked)
    else { return nil }
    return try GeneratedSessions(
      model, embedding: embedding, keys: side.keys, weights: side.weights, prompts: prompts, until: end,
      compute: compute)
  }
}

extension KeyPlan {
  /// The same spaces with nothing masked.
  package var unmasked: KeyPlan {
    func plain(_ row: KeyPlanRow) -> KeyPlanRow {
      KeyPlanRow(
        space: row.space, width: row.width, group: .trivial, decidedBy: row.decidedBy, homogeneous: row.homogeneous,
        form: row.form, permutesHeads: false)
    }
    return KeyPlan(rows: rows.map(plain), input: plain(input), output: plain(output))
  }
}
