package import Files
import Foundations
package import Models
package import Numerics

/// RoBERTa encoders (Liu et al., RoBERTa, 2019), and those trained as it was: XLM-RoBERTa, CamemBERT. BERT's blocks; positions are counted from
/// the padding token's id, and the classifier stands on a dense layer of its own.
package struct RoBERTa: ModelFamily {
  package static let name = "roberta"
  package static let names = ["roberta", "xlm-roberta", "camembert"]

  package let sizes: CheckpointSizes
  /// What the library's classes of this checkpoint begin with.
  private let classPrefix: String

  /// Defaults as `RobertaConfig`, `XLMRobertaConfig` and `CamembertConfig` have them.
  package init(_ settings: ConfigurationSettings) throws(HuggingFaceProblem) {
    classPrefix = try settings.choice(
      "model_type", ["roberta": "Roberta", "xlm-roberta": "XLMRoberta", "camembert": "Camembert"])
    sizes = try .likeBERT(
      settings, vocabulary: classPrefix == "Roberta" ? 50265 : 30522, paddingToken: 1,
      countsPositionsWithoutPadding: true)
  }

  // MARK: - Tensors

  package static let wordEmbeddings = BERTEmbeddings.words(name)
  private static let encoder = PostNormEncoder.likeBERT(name)

  private var padding: Int { sizes.paddingToken ?? 0 }
  private var embeddings: BERTEmbeddings {
    BERTEmbeddings(prefix: Self.name, width: sizes.width, positionRows: sizes.positions + padding + 1)
  }

  package var tensors: [FamilyTensor] { embeddings.tensors(sizes) + Self.encoder.tensors(sizes) }

  package static func canonicalName(_ stored: String) -> String {
    PostNormEncoder.canonicalName(stored, prefix: name, modules: ["embeddings", "encoder", "pooler"])
  }

  /// A pooler belongs to the base model; no class for a task reads it.
  package static func isIgnorable(_ name: String) -> Bool {
    name == "roberta.embeddings.position_ids"
      || ["lm_head.", "roberta.pooler.", "classifier.", "qa_outputs."].contains(where: name.hasPrefix)
  }

  // MARK: - Tokens

  /// The table's row of a token is the padding id plus its number among tokens that are not padding, from 1
  /// (`create_position_ids_from_input_ids`).
  package func embedding<Element: FloatingElement>(
    _ tensor: (String) throws -> Tensor<Element>
  ) throws -> TokenEmbedding<Element> {
    try embeddings.embedding(sizes, firstPosition: padding, tensor)
  }

  package var embeddingNormEpsilon: Double? { sizes.normEpsilon }
  package var countsPositionsWithoutPadding: Bool { true }

  /// Attention knows positions only from the token vectors.
  package static let readsTokenOrder = false

  // MARK: - Head

  package static let poolings = [TokenPooling.cls, .mean, .last]

  /// `RobertaClassificationHead` for samples, a plain layer for tokens.
  package static func classifier(_ task: LearningTask) -> String {
    task.isPerToken ? "classifier" : "classifier.out_proj"
  }

  package static func headSteps(_ task: LearningTask) -> [String] {
    task.isPerToken ? [classifier(task)] : ["classifier.dense", "tanh", classifier(task)]
  }

  package static func headHasBias(_ task: LearningTask) -> Bool { true }

  package static func libraryClass(_ task: LearningTask) -> String? { libraryClass(task, prefix: "Roberta") }

  package func libraryClass(_ task: LearningTask) -> String? { Self.libraryClass(task, prefix: classPrefix) }

  private static func libraryClass(_ task: LearningTask, prefix: String) -> String? {
    switch task {
    case .classification, .multilabel, .regression, .survival: "\(prefix)ForSequenceClassification"
    case .tokenClassification: "\(prefix)ForTokenClassification"
    case .causalLanguageModel: nil
    }
  }

  // MARK: - Graph

  package func graph(_ request: ModelRequest) throws(GraphError) -> ModelGraph {
    var builder = try request.builder(sizes)
    var stream = try Self.encoder.add(to: &builder, request, sizes)
    if !request.task.isPerToken {
      stream = builder.addHeadLayer("classifier.dense", from: stream, sizes, activation: .tanh)
    }
    builder.addHead(
      Self.classifier(request.task), from: stream, outputs: request.outputs, hasBias: Self.headHasBias(request.task))
    return try builder.graph()
  }
}
