package import Files
import Foundations
package import Models
package import Numerics

/// DistilBERT encoders (Sanh et al., DistilBERT, 2019): BERT's blocks under other names, without token types and pooler; the classifier stands
/// on a dense layer with ReLU.
package struct DistilBERT: ModelFamily {
  package static let name = "distilbert"

  package let sizes: CheckpointSizes

  /// Of all its norms: the class has no setting for it.
  private static let normEpsilon = 1e-12

  /// Defaults as `DistilBertConfig` has them. `sinusoidal_pos_embds` says how a table of positions that is in the checkpoint was made.
  package init(_ settings: ConfigurationSettings) throws(HuggingFaceProblem) {
    let width = try settings.integer("dim", in: CheckpointSizes.widths, default: 768)
    let heads = try settings.integer("n_heads", in: CheckpointSizes.widths, default: 12)
    guard width.isMultiple(of: heads) else {
      throw .setting("n_heads", expected: "a divisor of `dim` (\(width))")
    }
    sizes = CheckpointSizes(
      width: width, blocks: try settings.integer("n_layers", in: CheckpointSizes.blockCounts, default: 6),
      heads: heads, keyValueHeads: heads, headWidth: width / heads,
      hidden: try settings.integer("hidden_dim", in: CheckpointSizes.widths, default: 3072),
      activation: try settings.activation("activation", default: "gelu"), normEpsilon: Self.normEpsilon, rotary: nil,
      hasAttentionBiases: true, hasMLPBiases: true,
      vocabulary: try settings.integer("vocab_size", in: CheckpointSizes.vocabularies, default: 30522),
      positions: try settings.integer("max_position_embeddings", in: CheckpointSizes.vocabularies, default: 512),
      tokenTypes: 0, paddingToken: try settings.optionalInteger("pad_token_id", in: 0...(1 << 24)) ?? 0,
      initializerRange: try settings.number("initializer_range", isPositive: false, default: 0.02),
      tiesWordEmbeddings: try settings.boolean("tie_word_embeddings", default: true))
  }

  // MARK: - Tensors

  package static let wordEmbeddings = BERTEmbeddings.words(name)
  private static let encoder = PostNormEncoder(
    blocks: "distilbert.transformer.layer", attention: "attention", query: "attention.q_lin", key: "attention.k_lin",
    value: "attention.v_lin", attentionOutput: "attention.out_lin", attentionNorm: "sa_layer_norm", inner: "ffn.lin1",
    outer: "ffn.lin2", outputNorm: "output_layer_norm")

  private var embeddings: BERTEmbeddings {
    BERTEmbeddings(prefix: Self.name, width: sizes.width, positionRows: sizes.positions)
  }

  package var tensors: [FamilyTensor] { embeddings.tensors(sizes) + Self.encoder.tensors(sizes) }

  package static func canonicalName(_ stored: String) -> String {
    PostNormEncoder.canonicalName(stored, prefix: name, modules: ["embeddings", "transformer"])
  }

  package static func isIgnorable(_ name: String) -> Bool {
    name == "distilbert.embeddings.position_ids"
      || ["vocab_transform.", "vocab_layer_norm.", "vocab_projector.", "pre_classifier.", "classifier.", "qa_outputs."]
        .contains(where: name.hasPrefix)
  }

  // MARK: - Tokens

  /// LayerNorm(word + position).
  package func embedding<Element: FloatingElement>(
    _ tensor: (String) throws -> Tensor<Element>
  ) throws -> TokenEmbedding<Element> {
    try embeddings.embedding(sizes, tensor)
  }

  package var embeddingNormEpsilon: Double? { sizes.normEpsilon }

  /// Attention knows positions only from the token vectors.
  package static let readsTokenOrder = false

  // MARK: - Head

  package static let poolings = [TokenPooling.cls, .mean, .last]

  package static func classifier(_ task: LearningTask) -> String { "classifier" }

  package static func headSteps(_ task: LearningTask) -> [String] {
    task.isPerToken ? [classifier(task)] : ["pre_classifier", "relu", classifier(task)]
  }

  package static let headModules = ["pre_classifier", "classifier", "score"]

  package static func headHasBias(_ task: LearningTask) -> Bool { true }

  package static func libraryClass(_ task: LearningTask) -> String? {
    switch task {
    case .classification, .multilabel, .regression, .survival: "DistilBertForSequenceClassification"
    case .tokenClassification: "DistilBertForTokenClassification"
    case .causalLanguageModel: nil
    }
  }

  // MARK: - Graph

  package func graph(_ request: ModelRequest) throws(GraphError) -> ModelGraph {
    var builder = try request.builder(sizes)
    var stream = try Self.encoder.add(to: &builder, request, sizes)
    if !request.task.isPerToken {
      stream = builder.addHeadLayer("pre_classifier", from: stream, sizes, activation: .relu)
    }
    builder.addHead(
      Self.classifier(request.task), from: stream, outputs: request.outputs, hasBias: Self.headHasBias(request.task))
    return try builder.graph()
  }
}
