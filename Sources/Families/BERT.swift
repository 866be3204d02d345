package import Files
import Foundations
package import Models
package import Numerics

/// BERT encoders (Devlin et al., BERT, 2019): post-norm blocks with LayerNorm and biases everywhere, attention over the whole sequence; positions
/// are part of the token vectors.
package struct BERT: ModelFamily {
  package static let name = "bert"

  package let sizes: CheckpointSizes

  /// Defaults as `BertConfig` has them.
  package init(_ settings: ConfigurationSettings) throws(HuggingFaceProblem) {
    try settings.refuse("position_embedding_type", unless: "absolute", supported: "absolute")
    try settings.refuse("is_decoder", supported: "false")
    let width = try settings.integer("hidden_size", in: CheckpointSizes.widths, default: 768)
    let heads = try settings.integer("num_attention_heads", in: CheckpointSizes.widths, default: 12)
    guard width.isMultiple(of: heads) else {
      throw .setting("num_attention_heads", expected: "a divisor of `hidden_size` (\(width))")
    }
    sizes = CheckpointSizes(
      width: width, blocks: try settings.integer("num_hidden_layers", in: CheckpointSizes.blockCounts, default: 12),
      heads: heads, keyValueHeads: heads, headWidth: width / heads,
      hidden: try settings.integer("intermediate_size", in: CheckpointSizes.widths, default: 3072),
      activation: try settings.choice(
        "hidden_act",
        [
          "gelu": Activation.gelu, "gelu_new": .geluTanh, "gelu_pytorch_tanh": .geluTanh, "gelu_fast": .geluTanh,
          "relu": .relu, "silu": .silu, "swish": .silu, "tanh": .tanh,
        ], default: "gelu"),
      normEpsilon: try settings.number("layer_norm_eps", isPositive: true, default: 1e-12), rotary: nil,
      hasAttentionBiases: true, hasMLPBiases: true,
      vocabulary: try settings.integer("vocab_size", in: CheckpointSizes.vocabularies, default: 30522),
      positions: try settings.integer("max_position_embeddings", in: CheckpointSizes.vocabularies, default: 512),
      tokenTypes: try settings.integer("type_vocab_size", in: CheckpointSizes.widths, default: 2),
      paddingToken: try settings.optionalInteger("pad_token_id", in: 0...(1 << 24)) ?? 0,
      initializerRange: try settings.number("initializer_range", isPositive: false, default: 0.02),
      tiesWordEmbeddings: try settings.boolean("tie_word_embeddings", default: true))
  }

  // MARK: - Tensors

  package static let wordEmbeddings = "bert.embeddings.word_embeddings.weight"
  private static let positionEmbeddings = "bert.embeddings.position_embeddings.weight"
  private static let typeEmbeddings = "bert.embeddings.token_type_embeddings.weight"
  private static let embeddingNorm = "bert.embeddings.LayerNorm"

  package var tensors: [FamilyTensor] {
    let width = sizes.width
    var tensors = [
      FamilyTensor(Self.wordEmbeddings, [sizes.vocabulary, width], role: .embedding),
      FamilyTensor(Self.positionEmbeddings, [sizes.positions, width], role: .embedding),
      FamilyTensor(Self.typeEmbeddings, [sizes.tokenTypes, width], role: .embedding),
    ]
    tensors += FamilyTensor.layerNorm(Self.embeddingNorm, width, role: .embedding)
    for block in 0..<sizes.blocks {
      let prefix = "bert.encoder.layer.\(block)"
      for name in ["query", "key", "value"] {
        tensors += FamilyTensor.linear("\(prefix).attention.self.\(name)", width, width, hasBias: true)
      }
      tensors += FamilyTensor.linear("\(prefix).attention.output.dense", width, width, hasBias: true)
      tensors += FamilyTensor.layerNorm("\(prefix).attention.output.LayerNorm", width)
      tensors += FamilyTensor.linear("\(prefix).intermediate.dense", sizes.hidden, width, hasBias: true)
      tensors += FamilyTensor.linear("\(prefix).output.dense", width, sizes.hidden, hasBias: true)
      tensors += FamilyTensor.layerNorm("\(prefix).output.LayerNorm", width)
    }
    return tensors + FamilyTensor.linear("bert.pooler.dense", width, width, hasBias: true, role: .pooler)
  }

  /// The base model alone leaves out `bert.`, and models from TensorFlow call a norm's gain and shift gamma and beta.
  package static func canonicalName(_ stored: String) -> String {
    var name = stored
    if ["embeddings.", "encoder.", "pooler."].contains(where: name.hasPrefix) { name = "bert." + name }
    for (old, new) in [("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")]
    where name.hasSuffix(old) {
      name = String(name.dropLast(old.count)) + new
    }
    return name
  }

  package static func isIgnorable(_ name: String) -> Bool {
    name == "bert.embeddings.position_ids"
      || ["cls.", "bert.pooler.", "classifier.", "qa_outputs."].contains(where: name.hasPrefix)
  }

  // MARK: - Tokens

  /// LayerNorm(word + type + position), section 3 of the paper.
  package func embedding<Element: FloatingElement>(
    _ tensor: (String) throws -> Tensor<Element>
  ) throws -> TokenEmbedding<Element> {
    TokenEmbedding(
      words: try tensor(Self.wordEmbeddings), positions: try tensor(Self.positionEmbeddings),
      types: try tensor(Self.typeEmbeddings),
      norm: .init(
        gain: try tensor(Self.embeddingNorm + ".weight"), shift: try tensor(Self.embeddingNorm + ".bias"),
        epsilon: sizes.normEpsilon))
  }

  package var embeddingNormEpsilon: Double? { sizes.normEpsilon }

  /// Attention knows positions only from the token vectors.
  package static let readsTokenOrder = false

  // MARK: - Head

  package static let poolings = [TokenPooling.cls, .mean, .last]

  package static func classifier(_ task: LearningTask) -> String { "classifier" }

  package static func headHasBias(_ task: LearningTask) -> Bool { true }

  package static func libraryClass(_ task: LearningTask) -> String? {
    switch task {
    case .classification, .multilabel, .regression, .survival: "BertForSequenceClassification"
    case .tokenClassification: "BertForTokenClassification"
    case .causalLanguageModel: nil
    }
  }

  // MARK: - Graph

  package func graph(_ request: ModelRequest) throws(GraphError) -> ModelGraph {
    let blocks = try sizes.ofBlocks()
    var builder = try request.builder(sizes)
    var stream = GraphBuilder.input
    for block in 0..<sizes.blocks {
      let name = "bert.encoder.layer.\(block)"
      let names = PostNormBlockNames(
        pooling: "\(name).pooling", attention: "\(name).attention.self", query: "\(name).attention.self.query",
        key: "\(name).attention.self.key", value: "\(name).attention.self.value",
        attentionOutput: "\(name).attention.output.dense", attentionNorm: "\(name).attention.output.LayerNorm",
        inner: "\(name).intermediate.dense", outer: "\(name).output.dense", outputNorm: "\(name).output.LayerNorm")
      stream = builder.addPostNormBlock(
        block, names, blocks, from: stream, poolsToken: request.poolsToken(block, of: sizes))
    }
    if request.pooling == .mean { stream = builder.add("pooling", .mean(PoolingOperation(from: stream))) }
    if let pooler = request.pooler { stream = addPooler(pooler, to: &builder, from: stream) }
    builder.addHead(
      Self.classifier(request.task), from: stream, outputs: request.outputs, hasBias: Self.headHasBias(request.task))
    return try builder.graph()
  }

  private func addPooler(_ pooler: ModelRequest.Pooler, to builder: inout GraphBuilder, from input: Int) -> Int {
    let (name, space) = ("bert.pooler.dense", SpaceID("pooled"))
    builder.add(Space(id: space, width: sizes.width))
    switch pooler {
    case .pretrained: return builder.addLinear(name, from: input, to: space, hasBias: true, activation: .tanh)
    case .fresh:
      // As the class draws it (`BertPreTrainedModel._init_weights`).
      let deviation = sizes.initializerRange
      let parameters = LinearParameters(
        weightOrigin: deviation > 0 ? .normal(deviation: deviation) : .zeros, biasOrigin: .zeros)
      return builder.add(
        name, .linear(LinearOperation(from: input, to: space, activation: .tanh, parameters: parameters)))
    }
  }
}
