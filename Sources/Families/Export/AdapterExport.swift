package import Files
import Foundation
import Foundations
package import Models

/// Writes low-rank adapters as a directory that the peft library loads onto their base model.
package struct AdapterExport: Sendable {
  package static let fileName = "adapter_model.safetensors"
  /// What peft puts before the base model's names.
  package static let prefix = "base_model.model."

  package let adaptation: LowRankAdaptation
  package let task: LearningTask
  /// The base model's directory or name on the hub, which peft's `Auto` classes load it from.
  package let baseModel: String
  /// Modules with layers of a fresh head; peft adds the first two itself, whichever the model has.
  package let headModules: [String]

  package init(
    adaptation: LowRankAdaptation, task: LearningTask, baseModel: String,
    headModules: [String] = ["classifier", "score"]
  ) {
    self.adaptation = adaptation
    self.task = task
    self.baseModel = baseModel
    self.headModules = headModules
  }

  /// Writes adapter_model.safetensors and then adapter_config.json.
  ///
  /// - Parameter tensors: `<layer>.lora_A.weight`, `<layer>.lora_B.weight` and those of the fresh classifier, under the base
  ///   model's own names; peft's prefix is added here.
  /// - Throws: `.system`; `.safetensors` for names given twice; what making a tensor throws.
  package func write(_ tensors: [SafetensorsTensor], to directory: String) throws(FileError) {
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
    case .classification, .multilabel, .regression, .survival: "SEQ_CLS"
    case .tokenClassification: "TOKEN_CLS"
    case .causalLanguageModel: "CAUSAL_LM"
    }
  }

  private var savedModules: JSONValue {
    task == .causalLanguageModel ? .null : .array(headModules.map(JSONValue.string))
  }
}
