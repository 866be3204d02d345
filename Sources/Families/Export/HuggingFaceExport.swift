package import Files
import Foundation
import Foundations
package import Models

/// Writes a trained model as a directory that the transformers library loads.
package struct HuggingFaceExport: Sendable {
  /// Copied where the original has them.
  private static let tokenizerFiles = [
    "tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt", "special_tokens_map.json",
    "tokenizer.model", "added_tokens.json",
  ]

  /// The class of the transformers library that loads the model.
  package let libraryClass: String
  package let task: LearningTask
  /// Classes or label columns; not used for a language model.
  package let outputs: Int
  /// By class id; nil names them LABEL_0, LABEL_1 …
  package let classNames: [String]?
  package let tiesWordEmbeddings: Bool
  /// What a decoder's sequence classifier needs to find the last token of a row, where the original does not say.
  package let paddingToken: Int?

  package init(
    libraryClass: String, task: LearningTask, outputs: Int, classNames: [String]?,
    tiesWordEmbeddings: Bool, paddingToken: Int? = nil
  ) {
    self.libraryClass = libraryClass
    self.task = task
    self.outputs = outputs
    self.classNames = classNames
    self.tiesWordEmbeddings = tiesWordEmbeddings
    self.paddingToken = paddingToken
  }

  /// Writes model.safetensors, the tokenizer's files and config.json, in this order: a directory with a config.json is complete.
  ///
  /// - Parameters:
  ///   - tensors: all of them, under the names that the class has; each is made when its turn comes.
  ///   - original: whose configuration is written again with what the task changes.
  ///   - directory: made where it does not exist.
  /// - Throws: `.system`; `.safetensors` for names given twice; what making a tensor throws.
  package func write(
    _ tensors: [SafetensorsTensor], original: HuggingFaceDirectory, to directory: String
  ) throws(FileError) {
    try Directory.create(directory)
    try SafetensorsFile.write(tensors, metadata: ["format": "pt"], to: directory + "/model.safetensors")
    for name in Self.tokenizerFiles where RegularFile.exists(original.path + "/" + name) {
      try RegularFile.copy(original.path + "/" + name, to: directory + "/" + name)
    }
    let type = tensors.first?.type == .float64 ? "float64" : "float32"
    var document = original.configuration.document
    // Old configurations left it to whoever loads them.
    document["model_type"] = .string(original.configuration.familyName)
    let text = JSONValue.object(settings(changing: document, type: type)).text() + "\n"
    try AtomicFile.write(Data(text.utf8), to: directory + "/config.json")
  }

  private func settings(changing original: [String: JSONValue], type: String) -> [String: JSONValue] {
    var settings = original
    settings["_name_or_path"] = nil
    settings["architectures"] = .array([.string(libraryClass)])
    // The first name is that of transformers 4.
    settings["torch_dtype"] = .string(type)
    settings["dtype"] = .string(type)
    settings["tie_word_embeddings"] = .boolean(tiesWordEmbeddings)
    settings["problem_type"] = problemType.map(JSONValue.string)
    // With −1 for none a sequence classifier would take padding for text and say nothing; without it, it says that it needs one.
    if problemType != nil, settings["pad_token_id"] == .number("-1") { settings["pad_token_id"] = .null }
    if let paddingToken, settings["pad_token_id"] ?? .null == .null {
      settings["pad_token_id"] = .number("\(paddingToken)")
    }
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
    case .tokenClassification, .causalLanguageModel, .survival: nil
    }
  }
}
