package import Models

/// What a job asks of a pretrained model: what stands on top of its blocks, and what of it is trained.
package struct ModelRequest: Sendable, Equatable {
  /// Where the dense layer between the first token and the classifier comes from.
  package enum Pooler: Sendable {
    case pretrained
    /// Drawn and trained, as the library's class does where the checkpoint has none.
    case fresh
  }

  package let task: LearningTask
  /// How the tokens of a sample become one row; `none` for tasks with an output for each token.
  package let pooling: TokenPooling
  /// Nil where there is no such layer.
  package let pooler: Pooler?
  /// Classes, label columns, or the vocabulary of a language model.
  package let outputs: Int
  package let trained: TrainedPart
  /// Tokens of the longest sample.
  package let maximumTokens: Int
  /// Whether the trainer keeps only block inputs for the backward pass.
  package let recomputes: Bool

  package init(
    task: LearningTask, pooling: TokenPooling, pooler: Pooler?, outputs: Int, trained: TrainedPart,
    maximumTokens: Int, recomputes: Bool
  ) {
    self.task = task
    self.pooling = pooling
    self.pooler = pooler
    self.outputs = outputs
    self.trained = trained
    self.maximumTokens = maximumTokens
    self.recomputes = recomputes
  }

  /// Whether the head is the checkpoint's own rather than a fresh classifier.
  package var isLanguageModel: Bool { task == .causalLanguageModel }

  /// A builder with the token vectors as its input.
  func builder(_ sizes: CheckpointSizes) throws(GraphError) -> GraphBuilder {
    GraphBuilder(
      input: try sizes.ofBlocks().residual, maximumTokens: maximumTokens,
      rotaryFrequencies: sizes.rotary?.frequencies ?? [], trained: trained, recomputes: recomputes)
  }

  /// Whether block `block` is computed for the pooled token alone: nothing after the last block's keys and values mixes tokens.
  func poolsToken(_ block: Int, of sizes: CheckpointSizes) -> Bool {
    block == sizes.blocks - 1 && (pooling == .cls || pooling == .last)
  }
}

extension CheckpointSizes {
  private static let maxBlocks = 1024

  /// The sizes that blocks are built with.
  ///
  /// - Throws: `GraphError` for a size beyond what a trainer takes.
  func ofBlocks() throws(GraphError) -> TransformerSizes {
    guard (1...Self.maxBlocks).contains(blocks) else {
      throw .outOfRange("blocks", value: blocks, allowed: 1...Self.maxBlocks)
    }
    return try TransformerSizes(
      width: width, heads: heads, keyValueHeads: keyValueHeads, headWidth: headWidth, hidden: hidden,
      activation: activation, normEpsilon: normEpsilon, hasAttentionBiases: hasAttentionBiases,
      hasAttentionOutputBias: hasAttentionBiases, hasMLPBiases: hasMLPBiases, isRotary: rotary != nil)
  }
}

extension GraphBuilder {
  /// A dense layer of the head, before the classifier: drawn as the library's classes draw it (`_init_weights`), and trained whatever
  /// else is.
  mutating func addHeadLayer(_ name: String, from input: Int, _ sizes: CheckpointSizes, activation: Activation) -> Int {
    let space = SpaceID("pooled")
    add(Space(id: space, width: sizes.width))
    let deviation = sizes.initializerRange
    let parameters = LinearParameters(
      weightOrigin: deviation > 0 ? .normal(deviation: deviation) : .zeros, biasOrigin: .zeros)
    return add(
      name, .linear(LinearOperation(from: input, to: space, activation: activation, parameters: parameters)))
  }
}
