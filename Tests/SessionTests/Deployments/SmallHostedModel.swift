import Families
import Foundations
import Models
import Numerics
import Protocol
import TestSupport
import Training

/// A small model with weights of its own, to host at a trainer and to run here.
struct SmallHostedModel<Element: FloatingElement> {
  enum Kind: Sendable, CaseIterable {
    /// 4 features, 3 outputs.
    case perceptron
    /// One output row a sample.
    case encoder
    /// The same pretrained model with its head alone trained, so that most weights are frozen.
    case frozenEncoder
    /// 20 outputs a token.
    case decoder
  }

  static var maximumTokens: Int { 12 }

  let description: JobDescription
  let parameters: [Tensor<Element>]
  let local: HostedModel<Element>

  /// - Parameters:
  ///   - question: rows or samples of the largest question.
  ///   - hidden: of a perceptron, as `outputs` is.
  init(_ kind: Kind, question: Int = 16, seed: UInt64 = 1, hidden: Int = 6, outputs: Int = 3) throws {
    let graph = try Self.graph(kind, hidden: hidden, outputs: outputs)
    description = JobDescription(
      purpose: .hosting, graph: graph, optimizer: SmallJob.sgd(),
      schedule: ScheduleDescription(warmup: 0, decay: .none), lossLocation: .owner, task: nil, epochs: 1,
      stepsPerEpoch: 1, batch: question, microBatch: question, keep: .last, checkpointEverySteps: 1, trainingRows: 0,
      validationRows: 0)
    var random = SplitMix(seed: seed)
    parameters = Model(graph).structure.parameters.map { parameter in
      Self.noise(parameter.shape, &random)
    }
    local = try HostedModel(graph, compute: Compute(threads: 1), parameters: parameters)
  }

  private static func graph(_ kind: Kind, hidden: Int, outputs: Int) throws -> ModelGraph {
    switch kind {
    case .perceptron:
      return try .perceptron(
        input: HomogeneousColumns(features: 4, padding: 0), hidden: [hidden], activation: .relu, outputs: outputs)
    case .encoder, .frozenEncoder:
      return try TinyFamily.bert.model().graph(
        ModelRequest(
          task: .classification, pooling: .mean, pooler: nil, outputs: 3,
          trained: kind == .encoder ? .all : .head, maximumTokens: maximumTokens, recomputes: false))
    case .decoder:
      return try TinyFamily.llama.model().graph(
        ModelRequest(
          task: .causalLanguageModel, pooling: .none, pooler: nil, outputs: TinyCheckpoint.vocabulary, trained: .all,
          maximumTokens: maximumTokens, recomputes: false))
    }
  }

  private static func noise(_ shape: [Int], _ random: inout SplitMix) -> Tensor<Element> {
    Tensor((0..<shape.reduce(1, *)).map { _ in Element(random.nextValue()) }, shape: shape)
  }

  var width: Int { local.model.inputWidth }

  /// Submits the copy and sends its weights, all that are due.
  func upload(_ owner: RawOwner<Element>) throws {
    try owner.send(.submit(description))
    let isMissing = try owner.wait { message in
      if case .accepted(let missing, _, _) = message { return missing }
      return nil
    }
    guard isMissing else { return }
    try sendWeights(owner)
  }

  func sendWeights(_ owner: RawOwner<Element>) throws {
    let chunks = ParameterChunks(
      Model(description.graph).structure.parameters, elementBytes: MemoryLayout<Element>.size)
    for (number, chunk) in chunks.chunks.enumerated() {
      let tensor = parameters[chunk.parameter]
      try owner.send(
        .parameters(
          chunk: number, values: tensor.shape.count == 1 ? tensor : tensor.slice(rows: chunk.rows)))
    }
    let due = chunks.count
    try owner.wait { message in
      if case .stored(due) = message { return () }
      return nil
    }
  }

  // MARK: - Questions

  /// Rows or samples of numbers that another seed makes others.
  func question(_ samples: Int, seed: UInt64) -> RowDelivery<Element> {
    var random = SplitMix(seed: seed)
    let slots = Tensor((0..<samples).map(Int32.init), shape: [samples])
    guard let maximum = description.graph.maximumTokens else {
      return RowDelivery(
        slots: slots, carried: Tensor(repeating: 1, shape: [samples]),
        values: Self.noise([samples, width], &random))
    }
    let lengths = (0..<samples).map { _ in Int32(1 + random.next() % UInt64(maximum)) }
    let total = lengths.reduce(0) { $0 + Int($1) }
    return RowDelivery(
      slots: slots, lengths: Tensor(lengths, shape: [samples]),
      pooled: Tensor(lengths.map { $0 - 1 }, shape: [samples]), values: Self.noise([total, width], &random))
  }

  func tokens(_ count: Int, seed: UInt64) -> Tensor<Element> {
    var random = SplitMix(seed: seed)
    return Self.noise([count, width], &random)
  }

  /// What the model says in this process.
  func outputs(_ rows: RowDelivery<Element>) throws -> Tensor<Element> {
    let layout = rows.hasSequences ? SequenceLayout(lengths: rows.lengths.elements, pooled: rows.pooled.elements) : nil
    return try local.infer(rows: rows.count, sequences: layout) { target in
      rows.values.withUnsafeBufferPointer { _ = target.update(fromContentsOf: $0) }
    }
  }

  /// Of the last of a session's tokens.
  func lastOutputs(_ tokens: Tensor<Element>) throws -> Tensor<Element> {
    let all = try local.infer(
      rows: 1, sequences: SequenceLayout(offsets: [0, tokens.rows], pooled: [tokens.rows - 1])
    ) { target in
      tokens.withUnsafeBufferPointer { _ = target.update(fromContentsOf: $0) }
    }
    return all.slice(rows: all.rows - 1..<all.rows)
  }

  /// Products of a batch may be cut in other tiles than those of a question alone, which changes the order in which terms are added: for each of the
  /// model's few products of at most 16 terms that is some units in the last place of the largest number, and a fixed factor for how layers
  /// pass it on.
  static func areAlike(_ left: Tensor<Element>, _ right: Tensor<Element>) -> Bool {
    guard left.shape == right.shape, right.allFinite else { return false }
    let largest = right.elements.map(abs).max() ?? 0
    let bound = 1000 * Element.ulpOfOne * max(largest, 1)
    return zip(left.elements, right.elements).allSatisfy { abs($0 - $1) <= bound }
  }
}
