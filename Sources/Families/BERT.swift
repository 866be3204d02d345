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
    sizes = try .likeBERT(settings)
  }

  // MARK: - Tensors

  package static let wordEmbeddings = BERTEmbeddings.words(name)
  private static let encoder = PostNormEncoder.likeBERT(name)

  private var embeddings: BERTEmbeddings {
    BERTEmbeddings(prefix: Self.name, width: sizes.width, positionRows: sizes.positions)
  }

  package var tensors: [FamilyTensor] {
    let width = sizes.width
    return embeddings.tensors(sizes) + Self.encoder.tensors(sizes)
      + FamilyTensor.linear("bert.pooler.dense", width, width, hasBias: true, role: .pooler)
  }

  package static func canonicalName(_ stored: String) -> String {
    PostNormEncoder.canonicalName(stored, prefix: name, modules: ["embeddings", "encoder", "pooler"])
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
    try embeddings.embedding(sizes, tensor)
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
    var builder = try request.builder(sizes)
    var stream = try Self.encoder.add(to: &builder, request, sizes)
    if let pooler = request.pooler { stream = addPooler(pooler, to: &builder, from: stream) }
    builder.addHead(
      Self.classifier(request.task), from: stream, outputs: request.outputs, hasBias: Self.headHasBias(request.task))
    return try builder.graph()
  }

  private func addPooler(_ pooler: ModelRequest.Pooler, to builder: inout GraphBuilder, from input: Int) -> Int {
    let name = "bert.pooler.dense"
    switch pooler {
    case .pretrained:
      let space = SpaceID("pooled")
      builder.add(Space(id: space, width: sizes.width))
      return builder.addLinear(name, from: input, to: space, hasBias: true, activation: .tanh)
    case .fresh: return builder.addHeadLayer(name, from: input, sizes, activation: .tanh)
    }
  }
}

extension BERT {
  private static let architectures: Set<String> = [
    "BertModel", "BertForPreTraining", "BertForMaskedLM", "BertForNextSentencePrediction",
    "BertForSequenceClassification", "BertForTokenClassification", "BertForQuestionAnswering", "BertForMultipleChoice",
  ]
  /// The sizes that every config.json of the first releases has.
  private static let firstSettings = [
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act", "vocab_size",
    "max_position_embeddings", "type_vocab_size", "initializer_range",
  ]
  /// What else stood there: Google's own, and the library's of the time before `model_type`.
  private static let otherSettings: Set<String> = [
    "architectures", "attention_probs_dropout_prob", "hidden_dropout_prob", "directionality", "pooler_fc_size",
    "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type", "layer_norm_eps",
    "finetuning_task", "num_labels", "id2label", "label2id", "output_attentions", "output_hidden_states", "output_past",
    "torchscript", "pruned_heads", "use_bfloat16", "is_decoder", "do_sample", "bos_token_id", "eos_token_ids",
    "pad_token_id",
  ]

  /// BERT's first checkpoints, and what was made of them for years (BioBERT, SciBERT), name no `model_type`. Where `architectures` names a
  /// class it decides; else every setting must be one that these files have: RoBERTa's of that age have one token type, those of other
  /// descendants settings of their own.
  package static func isMeant(by settings: ConfigurationSettings) -> Bool {
    if case .array(let named)? = settings.value("architectures"), !named.isEmpty {
      return named.allSatisfy { if case .string(let name) = $0 { architectures.contains(name) } else { false } }
    }
    return firstSettings.allSatisfy { settings.value($0) != nil } && settings.value("type_vocab_size") == 2
      && settings.members.keys.allSatisfy { firstSettings.contains($0) || otherSettings.contains($0) }
  }
}
