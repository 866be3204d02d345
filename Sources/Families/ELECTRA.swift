package import Files
import Foundations
package import Models
package import Numerics

/// ELECTRA encoders (Clark et al., ELECTRA, 2020), the discriminator as a rule: BERT's blocks over token vectors that may be narrower, with a
/// linear layer between, which belongs to the embedding and stays with the owner.
package struct ELECTRA: ModelFamily {
  package static let name = "electra"

  package let sizes: CheckpointSizes
  private let embeddingWidth: Int

  /// Defaults as `ElectraConfig` has them. The settings `summary_…` are those of a class for multiple choice.
  package init(_ settings: ConfigurationSettings) throws(HuggingFaceProblem) {
    sizes = try .likeBERT(settings, width: 256, heads: 4, hidden: 1024)
    embeddingWidth = try settings.integer("embedding_size", in: CheckpointSizes.widths, default: 128)
  }

  // MARK: - Tensors

  package static let wordEmbeddings = BERTEmbeddings.words(name)
  private static let projection = "electra.embeddings_project"
  private static let encoder = PostNormEncoder.likeBERT(name)

  private var embeddings: BERTEmbeddings {
    BERTEmbeddings(prefix: Self.name, width: embeddingWidth, positionRows: sizes.positions)
  }
  /// The class has the layer only where the widths differ.
  private var hasProjection: Bool { embeddingWidth != sizes.width }

  package var tensors: [FamilyTensor] {
    let projection =
      hasProjection
      ? FamilyTensor.linear(Self.projection, sizes.width, embeddingWidth, hasBias: true, role: .embedding) : []
    return embeddings.tensors(sizes) + projection + Self.encoder.tensors(sizes)
  }

  package static func canonicalName(_ stored: String) -> String {
    PostNormEncoder.canonicalName(stored, prefix: name, modules: ["embeddings", "embeddings_project", "encoder"])
  }

  package static func isIgnorable(_ name: String) -> Bool {
    name == "electra.embeddings.position_ids"
      || [
        "discriminator_predictions.", "generator_predictions.", "generator_lm_head.", "classifier.", "qa_outputs.",
        "sequence_summary.",
      ].contains(where: name.hasPrefix)
  }

  // MARK: - Tokens

  /// LayerNorm(word + type + position), then the linear layer.
  package func embedding<Element: FloatingElement>(
    _ tensor: (String) throws -> Tensor<Element>
  ) throws -> TokenEmbedding<Element> {
    let projection: TokenEmbedding<Element>.Projection? =
      hasProjection
      ? .init(weight: try tensor(Self.projection + ".weight"), bias: try tensor(Self.projection + ".bias")) : nil
    return try embeddings.embedding(sizes, projection: projection, tensor)
  }

  package var embeddingNormEpsilon: Double? { sizes.normEpsilon }

  /// Attention knows positions only from the token vectors.
  package static let readsTokenOrder = false

  // MARK: - Head

  package static let poolings = [TokenPooling.cls, .mean, .last]

  /// `ElectraClassificationHead` for samples, a plain layer for tokens.
  package static func classifier(_ task: LearningTask) -> String {
    task.isPerToken ? "classifier" : "classifier.out_proj"
  }

  package static func headSteps(_ task: LearningTask) -> [String] {
    task.isPerToken ? [classifier(task)] : ["classifier.dense", "gelu", classifier(task)]
  }

  package static func headHasBias(_ task: LearningTask) -> Bool { true }

  package static func libraryClass(_ task: LearningTask) -> String? {
    switch task {
    case .classification, .multilabel, .regression, .survival: "ElectraForSequenceClassification"
    case .tokenClassification: "ElectraForTokenClassification"
    case .causalLanguageModel: nil
    }
  }

  // MARK: - Graph

  package func graph(_ request: ModelRequest) throws(GraphError) -> ModelGraph {
    var builder = try request.builder(sizes)
    var stream = try Self.encoder.add(to: &builder, request, sizes)
    if !request.task.isPerToken {
      stream = builder.addHeadLayer("classifier.dense", from: stream, sizes, activation: .gelu)
    }
    builder.addHead(
      Self.classifier(request.task), from: stream, outputs: request.outputs, hasBias: Self.headHasBias(request.task))
    return try builder.graph()
  }
}
