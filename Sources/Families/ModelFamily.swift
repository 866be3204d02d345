package import Files
import Foundations
package import Models
package import Numerics

/// A published architecture of pretrained models, as one checkpoint has it: everything in which it differs from the others.
///
/// A family is one file: its settings with their defaults, its tensors with their shapes and how they are stored, what its owner keeps, which
/// gains are folded, how its tokens are pooled, and what loads its result. Whatever is the same for all is read from here.
package protocol ModelFamily: Sendable {
  /// What `model_type` says in config.json.
  static var name: String { get }
  /// Everything that `model_type` may say of a checkpoint of this family, `name` first.
  static var names: [String] { get }
  /// Whether a config.json without `model_type` can be of this family alone.
  static func isMeant(by settings: ConfigurationSettings) -> Bool

  /// Reads the settings of a config.json; those that no family supports were refused before.
  ///
  /// - Throws: `HuggingFaceProblem` that names the setting: of another type or outside its range, missing where there is no default, or
  ///   asking for what is not supported.
  init(_ settings: ConfigurationSettings) throws(HuggingFaceProblem)

  var sizes: CheckpointSizes { get }

  // MARK: - Tensors

  /// Every tensor that can be read of a checkpoint, under the names that the class with a head has, in the order of its modules.
  var tensors: [FamilyTensor] { get }
  /// The name of the tensor that a file calls `stored`: files differ by the class that saved them and by their age.
  static func canonicalName(_ stored: String) -> String
  /// Whether a tensor that nobody asked for may be passed over: heads for other tasks, and tables that follow from the sizes.
  static func isIgnorable(_ name: String) -> Bool
  /// The table of word vectors, [vocabulary, width]; a tied language-model head is read from it.
  static var wordEmbeddings: String { get }

  // MARK: - Tokens

  /// What turns token ids into vectors at the owner.
  ///
  /// - Parameter tensor: reads a tensor of `tensors` by its name.
  func embedding<Element: FloatingElement>(
    _ tensor: (String) throws -> Tensor<Element>
  ) throws -> TokenEmbedding<Element>
  /// Of the norm over these vectors; nil where there is none.
  var embeddingNormEpsilon: Double? { get }
  /// Whether the blocks read in which order the tokens come, beyond what the token vectors say of it. Where they do not, the order can be
  /// kept secret; where they do, padding may only follow the tokens.
  static var readsTokenOrder: Bool { get }
  /// Whether positions are counted from 1 among the tokens that are not the padding token, whatever the mask says, which itself has
  /// position 0; else a token's position is its column.
  var countsPositionsWithoutPadding: Bool { get }

  // MARK: - Head

  /// How the tokens of a sample may become one row; the first is what the library's class does.
  static var poolings: [TokenPooling] { get }
  /// The fresh linear layer that makes the outputs of this task, as the library's class names it.
  static func classifier(_ task: LearningTask) -> String
  /// Whether the library's class gives the head of this task a bias.
  static func headHasBias(_ task: LearningTask) -> Bool
  /// The norm whose gain the classifier takes in; nil where it reads no folded norm.
  static var classifierGain: String? { get }
  /// What the library's class does with a pooled row, in order: names of layers and functions, the classifier last.
  static func headSteps(_ task: LearningTask) -> [String]
  /// Modules that the peft library must save whole beside adapters: all that hold layers of a fresh head, of any task.
  static var headModules: [String] { get }
  /// The class of the transformers library that loads a model for this task; nil where it has none.
  static func libraryClass(_ task: LearningTask) -> String?
  /// The same of this checkpoint: a family of several names has a class for each.
  func libraryClass(_ task: LearningTask) -> String?

  // MARK: - Graph

  /// The layers from the token vectors on, under the names of `tensors`. Spaces and names decide which keys are drawn: they stay as they are.
  ///
  /// - Throws: `GraphError` for sizes beyond what a trainer takes, and an adapter's target that no layer has.
  func graph(_ request: ModelRequest) throws(GraphError) -> ModelGraph
}

extension ModelFamily {
  package static var names: [String] { [name] }
  package static func isMeant(by settings: ConfigurationSettings) -> Bool { false }
  package static func canonicalName(_ stored: String) -> String { stored }
  package var countsPositionsWithoutPadding: Bool { false }
  package static func headSteps(_ task: LearningTask) -> [String] { [classifier(task)] }
  package static var headModules: [String] { ["classifier", "score"] }
  package func libraryClass(_ task: LearningTask) -> String? { Self.libraryClass(task) }
  package static var classifierGain: String? { nil }
  package var embeddingNormEpsilon: Double? { nil }

  /// What stays with the owner as it is: what `embedding` is made of.
  package var keptTensors: [FamilyTensor] { tensors.filter { $0.role == .embedding } }
  /// Norms whose gains the weights after them have taken in; they are 1 from then on.
  package var foldedNorms: [FamilyTensor] { tensors.filter { $0.role == .foldedNorm } }
  /// The weight of the dense layer between the first token and the classifier; nil where the family has none.
  package var pooler: String? { tensors.first { $0.role == .pooler }?.name }
  /// The weight of the language model's own head; nil where the family has none.
  package var languageModelHead: String? { tensors.first { $0.role == .languageModelHead }?.name }

  /// The gain that each weight with one takes in, the head's of this task among them: names of norms by names of weights.
  package func gains(_ task: LearningTask) -> [String: String] {
    var gains: [String: String] = [:]
    for tensor in tensors { gains[tensor.name] = tensor.gain }
    gains[Self.classifier(task) + ".weight"] = Self.classifierGain
    return gains
  }

  /// What a checkpoint must store, under canonical names, in the order of `tensors`.
  ///
  /// - Parameters:
  ///   - pooler: whether the dense layer before the classifier is one of them.
  ///   - languageModelHead: whether the language model's head is.
  package func storedTensors(pooler: Bool, languageModelHead: Bool) -> [TensorDescription] {
    FamilyTensor.stored(
      tensors.filter { tensor in
        switch tensor.role {
        case .embedding, .weight, .foldedNorm: true
        case .pooler: pooler
        case .languageModelHead: languageModelHead
        }
      })
  }
}

/// The families that are supported.
package enum ModelFamilies {
  package static let all: [any ModelFamily.Type] = [
    BERT.self, Llama.self, RoBERTa.self, DistilBERT.self, ELECTRA.self,
  ]

  /// Reads the configuration of the family that `model_type` names, or of the only one that a file without it can mean.
  ///
  /// - Throws: `HuggingFaceProblem` that names the setting; for another `model_type` with those that are supported.
  static func read(
    _ settings: ConfigurationSettings, of families: [any ModelFamily.Type]
  ) throws(HuggingFaceProblem) -> any ModelFamily {
    let family = try family(settings, of: families)
    try settings.refuse("quantization_config", supported: "weights that are not quantized")
    try settings.refuse("auto_map", supported: "models whose code is part of the transformers library")
    try settings.refuse("pruned_heads", supported: "no pruned heads")
    try settings.refuse("is_encoder_decoder", supported: "false")
    try settings.refuse("add_cross_attention", supported: "false")
    return try family.init(settings)
  }

  private static func family(
    _ settings: ConfigurationSettings, of families: [any ModelFamily.Type]
  ) throws(HuggingFaceProblem) -> any ModelFamily.Type {
    if settings.value("model_type") == nil {
      let meant = families.filter { $0.isMeant(by: settings) }
      if meant.count == 1 { return meant[0] }
    }
    let name = try settings.text("model_type")
    guard let family = families.first(where: { $0.names.contains(name) }) else {
      throw .unsupportedSetting(
        "model_type", found: name.printable(limit: 80), supported: families.flatMap { $0.names }.joined(separator: ", ")
      )
    }
    return family
  }
}
