package import Files
package import Foundations
package import Models

/// What a config.json says of a pretrained model: everything that decides which function its weights are.
package struct HuggingFaceConfiguration: Sendable {
  package let family: any ModelFamily
  /// The whole file, for writing it again.
  package let document: [String: JSONValue]

  package var sizes: CheckpointSizes { family.sizes }
  /// As `model_type` says it, or would.
  package var familyName: String {
    guard case .string(let name)? = document["model_type"] else { return type(of: family).name }
    return name
  }

  /// Names of the classes in order of class id, as `id2label` has them; nil where it has none but numbered ones.
  package var classNames: [String]? {
    guard case .object(let labels)? = document["id2label"] else { return nil }
    var names: [String] = []
    for id in 0..<labels.count {
      guard case .string(let name)? = labels["\(id)"] else { return nil }
      names.append(name)
    }
    let areNumbered = names.enumerated().allSatisfy { $0.element == "LABEL_\($0.offset)" }
    return names.isEmpty || areNumbered ? nil : names
  }

  /// Reads a config.json.
  ///
  /// - Throws: `HuggingFaceProblem` that names the setting: of another type or outside its range, missing where the model has no
  ///   default, or asking for what is not supported.
  package static func parse(
    _ bytes: [UInt8], families: [any ModelFamily.Type] = ModelFamilies.all
  ) throws(HuggingFaceProblem) -> HuggingFaceConfiguration {
    guard case .object(let members) = try JSONValue.parse(bytes, throwing: HuggingFaceProblem.self) else {
      throw .notAnObject
    }
    let family = try ModelFamilies.read(ConfigurationSettings(members: members), of: families)
    return HuggingFaceConfiguration(family: family, document: members)
  }
}

/// The sizes and kinds that every transformer has; what only one family has is in its own file.
package struct CheckpointSizes: Sendable, Equatable {
  /// What is allowed of a width or a number of heads.
  static let widths = 1...(1 << 20)
  static let blockCounts = 1...4096
  /// What is allowed of a vocabulary or a number of positions.
  static let vocabularies = 1...(1 << 24)

  /// d: the width of a token vector.
  package let width: Int
  package let blocks: Int
  package let heads: Int
  /// Heads of keys and values; divides `heads`.
  package let keyValueHeads: Int
  package let headWidth: Int
  /// Width between the linear layers of a block's MLP.
  package let hidden: Int
  package let activation: Activation
  package let normEpsilon: Double
  /// Nil where positions are part of the token vectors.
  package let rotary: RotaryDescription?
  /// Whether query, key, value and output projections have biases.
  package let hasAttentionBiases: Bool
  package let hasMLPBiases: Bool
  /// Token ids are below this.
  package let vocabulary: Int
  /// Tokens of the longest sequence.
  package let positions: Int
  /// Token types are below this; 0 for a model without types.
  package let tokenTypes: Int
  /// The id that pads, where the checkpoint names one or its class has a default.
  package let paddingToken: Int?
  /// Deviation of fresh weights.
  package let initializerRange: Double
  /// Whether the language-model head is the word embedding.
  package let tiesWordEmbeddings: Bool

  package func isToken(_ id: Int32) -> Bool { (0..<vocabulary).contains(Int(id)) }
}
