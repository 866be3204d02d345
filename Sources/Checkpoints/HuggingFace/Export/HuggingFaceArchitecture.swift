package import Architecture

/// The class of the transformers library that loads a model.
package enum HuggingFaceArchitecture: String, Sendable, CaseIterable {
  case bertForSequenceClassification = "BertForSequenceClassification"
  case bertForTokenClassification = "BertForTokenClassification"
  case llamaForSequenceClassification = "LlamaForSequenceClassification"
  case llamaForTokenClassification = "LlamaForTokenClassification"
  case llamaForCausalLM = "LlamaForCausalLM"

  /// Nil where the library has none: an encoder for causal language modelling.
  package init?(family: TransformerFamily, task: LearningTask) {
    switch (family, task) {
    case (.bert, .classification), (.bert, .multilabel), (.bert, .regression): self = .bertForSequenceClassification
    case (.bert, .tokenClassification): self = .bertForTokenClassification
    case (.bert, .causalLanguageModel): return nil
    case (.llama, .classification), (.llama, .multilabel), (.llama, .regression): self = .llamaForSequenceClassification
    case (.llama, .tokenClassification): self = .llamaForTokenClassification
    case (.llama, .causalLanguageModel): self = .llamaForCausalLM
    }
  }
}
