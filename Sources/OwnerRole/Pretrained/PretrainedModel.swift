package import Models
package import Files
package import JobSpec
package import Numerics

/// The checkpoint that a job names, joined with what the job asks of it.
package struct PretrainedModel: Sendable {
  private static let poolerWeight = "bert.pooler.dense.weight"

  package let directory: HuggingFaceDirectory
  package let settings: HuggingFaceModel
  package let task: LearningTask

  package var configuration: HuggingFaceConfiguration { directory.configuration }

  /// Reads `config.json` and the index of the weights.
  ///
  /// - Throws: `CheckpointError` for a directory that is no checkpoint of a supported model; `OwnerError.unfitJob` for a head that the
  ///   family or the task does not have.
  package init(_ settings: HuggingFaceModel, task: LearningTask) throws {
    directory = try HuggingFaceDirectory(settings.directory)
    try directory.check(
      expected: directory.configuration.tensors(
        pooler: directory.contains(Self.poolerWeight), languageModelHead: task == .causalLanguageModel))
    self.settings = settings
    self.task = task
    if task == .causalLanguageModel, configuration.family != .llama {
      throw OwnerError.unfitJob(
        "task: causal-lm needs a decoder; \(settings.directory) holds a \(configuration.family.rawValue) model")
    }
    if let pool = settings.pool {
      guard !task.isPerToken else {
        throw OwnerError.unfitJob(
          "model.head.pool does not apply to task: \(task.rawValue), which has an output for each token")
      }
      guard pool != .cls || configuration.family == .bert else {
        throw OwnerError.unfitJob("model.head.pool: cls needs an encoder; use last or mean")
      }
    }
  }

  /// Outputs of the head: what the job says, which must cover what the labels have.
  ///
  /// - Parameter found: classes or label columns in the data.
  func outputs(found: Int) throws -> Int {
    guard let classes = settings.classes else { return found }
    guard task.hasClasses ? classes >= found : classes == found else {
      throw OwnerError.unfitData("the labels have \(found) classes, model.head.classes allows \(classes)")
    }
    return classes
  }

  /// How tokens become outputs: as the job says, else by the family's custom.
  package var pooling: TokenPooling {
    if task.isPerToken { return .none }
    return settings.pool ?? (configuration.family == .bert ? .cls : .last)
  }

  /// Whether BERT's dense layer over the first token stands before the classifier.
  var hasPooler: Bool { pooling == .cls && directory.contains(Self.poolerWeight) }

  /// - Parameter recomputes: whether the trainer keeps only block inputs for the backward pass.
  package func graph(outputs: Int, maximumTokens: Int, recomputes: Bool) throws -> ModelGraph {
    let isLanguageModel = task == .causalLanguageModel
    let head = TransformerHead(
      pooling: pooling, hasPooler: hasPooler, outputs: outputs,
      hasBias: configuration.family == .bert || task == .tokenClassification, isLanguageModel: isLanguageModel)
    return try ModelDescription.transformer(
      configuration.transformer(
        head: head, trained: settings.train, maximumTokens: maximumTokens, recomputes: recomputes)
    ).graph()
  }

  /// A tensor under its Hugging Face name, its norm's gain folded in where there is one. A tied head is the table of word vectors until
  /// then, and a weight of its own from then on.
  ///
  /// - Throws: as `PretrainedWeights.tensor`.
  func tensor<Element: FloatingElement>(_ name: String) throws(CheckpointError) -> Tensor<Element> {
    var tensor: Tensor<Element> = try directory.tensor(named: name)
    if let gain: Tensor<Element> = try gain(readBy: name) { tensor.scaleColumns(by: gain) }
    return tensor
  }

  /// The gain folded into the columns of a weight; nil where none is.
  func gain<Element: FloatingElement>(readBy name: String) throws(CheckpointError) -> Tensor<Element>? {
    guard configuration.family == .llama, name.hasSuffix(".weight"), let norm = FoldedGain.norm(readBy: name) else {
      return nil
    }
    return try directory.tensor(named: norm)
  }

  /// Adapters are written for the checkpoint as it is, so that what was trained behind a folded gain is divided by it in the end.
  ///
  /// - Parameter trained: names of the weights that are trained.
  /// - Throws: `OwnerError.unfitData` for a gain that cannot be divided by; it would show only when everything is trained.
  func checkGains(readBy trained: [String]) throws {
    guard settings.train.adaptation != nil else { return }
    for name in trained {
      guard let gain: Tensor<Float> = try gain(readBy: name), let norm = FoldedGain.norm(readBy: name) else { continue }
      if let column = gain.elements.firstIndex(where: { !$0.isNormal }) {
        throw OwnerError.unfitData(
          "\(settings.directory): `\(norm)` cannot be divided by in column \(column) (it is 0 or next to it, or no number), which "
            + "adapters that read it need; set model.train: all")
      }
    }
  }

  /// Tensors that stay with the owner as they are: what `embedding` is made of.
  var keptTensors: [TensorDescription] {
    let width = configuration.width
    let words = [configuration.vocabulary, width]
    switch configuration.family {
    case .bert:
      let prefix = "bert.embeddings."
      return [
        TensorDescription(name: prefix + "word_embeddings.weight", shape: words),
        TensorDescription(name: prefix + "position_embeddings.weight", shape: [configuration.positions, width]),
        TensorDescription(name: prefix + "token_type_embeddings.weight", shape: [configuration.tokenTypes, width]),
        TensorDescription(name: prefix + "LayerNorm.weight", shape: [width]),
        TensorDescription(name: prefix + "LayerNorm.bias", shape: [width]),
      ]
    case .llama: return [TensorDescription(name: "model.embed_tokens.weight", shape: words)]
    }
  }

  /// Norms whose gains the weights after them have taken in; they are 1 from then on.
  var foldedNorms: [TensorDescription] {
    guard configuration.family == .llama else { return [] }
    let blocks = (0..<configuration.blocks).flatMap { block in
      ["input_layernorm", "post_attention_layernorm"].map { "model.layers.\(block).\($0).weight" }
    }
    return (blocks + ["model.norm.weight"]).map { TensorDescription(name: $0, shape: [configuration.width]) }
  }

  /// What turns this checkpoint's token ids into vectors.
  ///
  /// - Throws: `OwnerError.unfitData` for a table that holds NaN: it would show only where a token has it.
  package func embedding<Element: FloatingElement>() throws -> TokenEmbedding<Element> {
    switch configuration.family {
    case .bert:
      return TokenEmbedding(
        words: try finite("bert.embeddings.word_embeddings.weight"),
        positions: try finite("bert.embeddings.position_embeddings.weight"),
        types: try finite("bert.embeddings.token_type_embeddings.weight"),
        norm: .init(
          gain: try finite("bert.embeddings.LayerNorm.weight"),
          shift: try finite("bert.embeddings.LayerNorm.bias"),
          epsilon: configuration.normEpsilon))
    case .llama:
      return TokenEmbedding(
        words: try finite("model.embed_tokens.weight"),
        positions: nil, types: nil, norm: nil)
    }
  }

  private func finite<Element: FloatingElement>(_ name: String) throws -> Tensor<Element> {
    let tensor: Tensor<Element> = try directory.tensor(named: name)
    guard tensor.allFinite else {
      throw OwnerError.unfitData("\(settings.directory): `\(name)` holds NaN or an infinity; start from finite weights")
    }
    return tensor
  }
}

/// Which RMSNorm gain the owner folds into which weight (equivariance: a gain left in a rotated stream would give its key away).
enum FoldedGain {
  /// The norm whose gain multiplies the columns of the weight called `name` in a Llama checkpoint; nil for other weights.
  static func norm(readBy name: String) -> String? {
    // An adapter's second matrix reads the first, not the norm.
    if name.hasSuffix(".lora_B.weight") { return nil }
    if name == "lm_head.weight" || name == "score.weight" { return "model.norm.weight" }
    guard let block = block(of: name) else { return nil }
    let layer = name.dropFirst(block.count)
    for reader in ["self_attn.q_proj.", "self_attn.k_proj.", "self_attn.v_proj."] where layer.hasPrefix(reader) {
      return block + "input_layernorm.weight"
    }
    for reader in ["mlp.gate_proj.", "mlp.up_proj."] where layer.hasPrefix(reader) {
      return block + "post_attention_layernorm.weight"
    }
    return nil
  }

  /// "model.layers.3." of a name inside that block.
  private static func block(of name: String) -> String? {
    let prefix = "model.layers."
    guard name.hasPrefix(prefix) else { return nil }
    let number = name.dropFirst(prefix.count).prefix { $0.isNumber }
    return number.isEmpty ? nil : prefix + number + "."
  }
}
