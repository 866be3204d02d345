import Foundations
package import Models
import Foundation

/// Writes a trained model as a directory that the transformers library loads.
package struct HuggingFaceExport: Sendable {
  /// Copied where the original has them.
  private static let tokenizerFiles = [
    "tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json", "tokenizer.model",
    "added_tokens.json",
  ]

  package let architecture: HuggingFaceArchitecture
  package let task: LearningTask
  /// Classes or label columns; not used for a language model.
  package let outputs: Int
  /// By class id; nil names them LABEL_0, LABEL_1 …
  package let classNames: [String]?
  package let tiesWordEmbeddings: Bool
  /// What a decoder's sequence classifier needs to find the last token of a row, where the original does not say.
  package let paddingToken: Int?

  package init(
    architecture: HuggingFaceArchitecture, task: LearningTask, outputs: Int, classNames: [String]?,
    tiesWordEmbeddings: Bool, paddingToken: Int? = nil
  ) {
    self.architecture = architecture
    self.task = task
    self.outputs = outputs
    self.classNames = classNames
    self.tiesWordEmbeddings = tiesWordEmbeddings
    self.paddingToken = paddingToken
  }

  /// Writes model.safetensors, the tokenizer's files and config.json, in this order: a directory with a config.json is complete.
  ///
  /// - Parameters:
  ///   - tensors: all of them, under the names that the architecture has; each is made when its turn comes.
  ///   - original: whose configuration is written again with what the task changes.
  ///   - directory: made where it does not exist.
  /// - Throws: `.system`; `.safetensors` for names given twice; what making a tensor throws.
  package func write(
    _ tensors: [SafetensorsTensor], original: HuggingFaceDirectory, to directory: String
  ) throws(CheckpointError) {
    try Directory.create(directory)
    try SafetensorsFile.write(tensors, metadata: ["format": "pt"], to: directory + "/model.safetensors")
    for name in Self.tokenizerFiles where RegularFile.exists(original.path + "/" + name) {
      try RegularFile.copy(original.path + "/" + name, to: directory + "/" + name)
    }
    let type = tensors.first?.type == .float64 ? "float64" : "float32"
    let text = JSONValue.object(settings(changing: original.configuration.document, type: type)).text() + "\n"
    try AtomicFile.write(Data(text.utf8), to: directory + "/config.json")
  }

  private func settings(changing original: [String: JSONValue], type: String) -> [String: JSONValue] {
    var settings = original
    settings["_name_or_path"] = nil
    settings["architectures"] = .array([.string(architecture.rawValue)])
    // The first name is that of transformers 4.
    settings["torch_dtype"] = .string(type)
    settings["dtype"] = .string(type)
    settings["tie_word_embeddings"] = .boolean(tiesWordEmbeddings)
    if let paddingToken, settings["pad_token_id"] ?? .null == .null {
      settings["pad_token_id"] = .number("\(paddingToken)")
    }
    settings["problem_type"] = problemType.map(JSONValue.string)
    guard task != .causalLanguageModel else { return settings }
    // The library counts the classes by their names.
    settings["num_labels"] = nil
    let names = (0..<outputs).map { index in
      classNames.flatMap { $0.indices.contains(index) ? $0[index] : nil } ?? "LABEL_\(index)"
    }
    settings["id2label"] = .object(
      Dictionary(uniqueKeysWithValues: names.enumerated().map { ("\($0)", JSONValue.string($1)) }))
    settings["label2id"] = .object(
      Dictionary(names.enumerated().map { ($1, JSONValue.number("\($0)")) }, uniquingKeysWith: { first, _ in first }))
    return settings
  }

  /// Which loss the library would use.
  private var problemType: String? {
    switch task {
    case .classification: "single_label_classification"
    case .multilabel: "multi_label_classification"
    case .regression: "regression"
    case .tokenClassification, .causalLanguageModel: nil
    }
  }
}

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

/// Writes low-rank adapters as a directory that the peft library loads onto their base model.
package struct AdapterExport: Sendable {
  package static let fileName = "adapter_model.safetensors"
  /// What peft puts before the base model's names.
  package static let prefix = "base_model.model."

  package let adaptation: LowRankAdaptation
  package let task: LearningTask
  /// The base model's directory or name on the hub, which peft's `Auto` classes load it from.
  package let baseModel: String

  package init(adaptation: LowRankAdaptation, task: LearningTask, baseModel: String) {
    self.adaptation = adaptation
    self.task = task
    self.baseModel = baseModel
  }

  /// Writes adapter_model.safetensors and then adapter_config.json.
  ///
  /// - Parameter tensors: `<layer>.lora_A.weight`, `<layer>.lora_B.weight` and those of the fresh classifier, under the base
  ///   model's own names; peft's prefix is added here.
  /// - Throws: `.system`; `.safetensors` for names given twice; what making a tensor throws.
  package func write(_ tensors: [SafetensorsTensor], to directory: String) throws(CheckpointError) {
    try Directory.create(directory)
    try SafetensorsFile.write(
      tensors.map { $0.named(Self.prefix + $0.name) }, metadata: ["format": "pt"],
      to: directory + "/" + Self.fileName)
    try AtomicFile.write(
      Data((JSONValue.object(settings).text() + "\n").utf8), to: directory + "/adapter_config.json")
  }

  /// What peft itself saves, without settings of other methods, whose defaults are off.
  private var settings: [String: JSONValue] {
    let alpha = adaptation.alpha
    return [
      "peft_type": "LORA",
      "task_type": .string(taskType),
      "base_model_name_or_path": .string(baseModel),
      "r": .number("\(adaptation.rank)"),
      "lora_alpha": .number(Int(exactly: alpha).map(String.init) ?? "\(alpha)"),
      "lora_dropout": .number("0.0"),
      "bias": "none",
      "target_modules": .array(adaptation.targets.map(JSONValue.string)),
      "modules_to_save": savedModules,
      "inference_mode": true,
      "init_lora_weights": true,
      "fan_in_fan_out": false,
      "use_dora": false,
      "use_rslora": false,
      "rank_pattern": .object([:]),
      "alpha_pattern": .object([:]),
      "layers_to_transform": .null,
      "layers_pattern": .null,
      "revision": .null,
      "auto_mapping": .null,
    ]
  }

  private var taskType: String {
    switch task {
    case .classification, .multilabel, .regression: "SEQ_CLS"
    case .tokenClassification: "TOKEN_CLS"
    case .causalLanguageModel: "CAUSAL_LM"
    }
  }

  /// The two names that peft gives classifiers itself, whichever the model has.
  private var savedModules: JSONValue {
    task == .causalLanguageModel ? .null : .array(["classifier", "score"])
  }
}
