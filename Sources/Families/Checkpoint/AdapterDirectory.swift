package import Files
import Foundations
package import Models
package import Numerics

/// A directory with low-rank adapters as the peft library writes it: adapter_config.json and adapter_model.safetensors.
///
/// What peft can do beyond plain LoRA of linear layers is refused by name: the base model with such adapters is another function.
package struct AdapterDirectory: Sendable {
  private static let largestConfiguration = 1 << 20

  package let path: String
  package let adaptation: LowRankAdaptation
  /// As the configuration names it: a directory, or a name on the hub.
  package let baseModel: String
  private let weights: SafetensorsFile

  /// Whether `path` is such a directory.
  package static func exists(_ path: String) -> Bool { RegularFile.exists(path + "/adapter_config.json") }

  /// - Throws: `.huggingFace` that names the setting; `.safetensors`, `.system`.
  package init(_ path: String) throws(FileError) {
    self.path = path
    let file = path + "/adapter_config.json"
    let bytes = try RegularFile.read(file, limit: Self.largestConfiguration)
    do throws(HuggingFaceProblem) {
      guard let bytes else { throw .tooLarge(limit: Self.largestConfiguration) }
      guard case .object(let members) = try JSONValue.parse(bytes, throwing: HuggingFaceProblem.self) else {
        throw .notAnObject
      }
      let settings = ConfigurationSettings(members: members)
      baseModel = try settings.text("base_model_name_or_path")
      adaptation = try Self.adaptation(settings, members)
    } catch {
      throw .huggingFace(path: file, error)
    }
    weights = try SafetensorsFile(path: path + "/" + AdapterExport.fileName)
  }

  private static func adaptation(
    _ settings: ConfigurationSettings, _ members: [String: JSONValue]
  ) throws(HuggingFaceProblem) -> LowRankAdaptation {
    _ = try settings.choice("peft_type", ["LORA": true])
    try settings.refuse("bias", unless: "none", supported: "none")
    for name in ["use_dora", "use_rslora", "fan_in_fan_out"] { try settings.refuse(name, supported: "false") }
    for name in ["rank_pattern", "alpha_pattern"] { try settings.refuse(name, supported: "the same for all layers") }
    for name in ["layers_to_transform", "layers_pattern", "layer_replication"] {
      try settings.refuse(name, supported: "all layers")
    }
    let rank = try settings.integer("r", in: 1...4096, default: 8)
    let alpha = try settings.number("lora_alpha", isPositive: true, default: 8)
    guard case .array(let names)? = members["target_modules"] else {
      throw .setting("target_modules", expected: "a list of names of layers")
    }
    var targets: Set<String> = []
    for name in names {
      guard case .string(let text) = name, let last = text.split(separator: ".").last else {
        throw .setting("target_modules", expected: "a list of names of layers")
      }
      targets.insert(String(last))
    }
    return LowRankAdaptation(rank: rank, alpha: alpha, targets: targets.sorted())
  }

  /// The shape of a tensor under the base model's own name; nil where the adapters have none of that name.
  package func shape(of name: String) -> [Int]? { weights.entry(AdapterExport.prefix + name)?.shape }

  /// - Throws: `.safetensors` with `missingTensor`.
  package func tensor<Element: TensorElement & BinaryFloatingPoint>(
    named name: String, as type: Element.Type = Element.self
  ) throws(FileError) -> Tensor<Element> {
    try weights.tensor(AdapterExport.prefix + name)
  }
}
