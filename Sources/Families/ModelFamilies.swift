import Files
import Foundations

/// The families that are supported.
package enum ModelFamilies {
  package static let all: [any ModelFamily.Type] = [BERT.self, Llama.self]

  /// Reads the configuration of the family that `model_type` names.
  ///
  /// - Throws: `HuggingFaceProblem` that names the setting; for another `model_type` with those that are supported.
  static func read(
    _ settings: ConfigurationSettings, of families: [any ModelFamily.Type]
  ) throws(HuggingFaceProblem) -> any ModelFamily {
    let name = try settings.text("model_type")
    guard let family = families.first(where: { $0.name == name }) else {
      throw .unsupportedSetting(
        "model_type", found: name.printable(limit: 80), supported: families.map { $0.name }.joined(separator: ", "))
    }
    try settings.refuse("quantization_config", supported: "weights that are not quantized")
    try settings.refuse("auto_map", supported: "models whose code is part of the transformers library")
    try settings.refuse("pruned_heads", supported: "no pruned heads")
    try settings.refuse("is_encoder_decoder", supported: "false")
    try settings.refuse("add_cross_attention", supported: "false")
    return try family.init(settings)
  }
}
