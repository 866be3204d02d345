package import Families
import Files
package import JobSpec
package import Models
package import Numerics

/// The checkpoint that a job names, joined with what the job asks of it.
package struct PretrainedModel: Sendable {
  package let directory: HuggingFaceDirectory
  package let settings: HuggingFaceModel
  package let task: LearningTask
  /// Names of norms by names of the weights that take in their gains.
  private let gains: [String: String]

  package var family: any ModelFamily { directory.configuration.family }
  package var sizes: CheckpointSizes { family.sizes }
  /// As `model_type` says it.
  package var familyName: String { directory.configuration.familyName }

  /// Reads `config.json` and the index of the weights.
  ///
  /// - Throws: `FileError` for a directory that is no checkpoint of a supported model; `OwnerError.unfitJob` for a head that the
  ///   family or the task does not have.
  package init(
    _ settings: HuggingFaceModel, task: LearningTask, families: [any ModelFamily.Type] = ModelFamilies.all
  ) throws {
    directory = try HuggingFaceDirectory(settings.directory, families: families)
    let family = directory.configuration.family
    try directory.check(
      expected: family.storedTensors(
        pooler: family.pooler.map(directory.contains) ?? false, languageModelHead: task == .causalLanguageModel))
    self.settings = settings
    self.task = task
    gains = family.gains(task)
    if libraryClass == nil {
      throw OwnerError.unfitJob(
        "task: \(task.rawValue) is not supported for \(familyName) models, and \(settings.directory) holds one: the transformers library "
          + "has no class of theirs for it")
    }
    if let pool = settings.pool {
      guard !task.isPerToken else {
        throw OwnerError.unfitJob(
          "model.head.pool does not apply to task: \(task.rawValue), which has an output for each token")
      }
      let poolings = type(of: family).poolings
      guard poolings.contains(pool) else {
        throw OwnerError.unfitJob(
          "model.head.pool: \(pool.rawValue) is not supported for \(familyName) models; use "
            + poolings.map(\.rawValue).joined(separator: " or ")
        )
      }
    }
    try checkAdapters()
    if lacksPooler, settings.train.adaptation != nil {
      throw OwnerError.unfitJob(
        "model.train: lora: \(settings.directory) has no pooler, which \(libraryClass ?? "its class") reads the first token through and would "
          + "draw at random each time it is loaded; set model.train: all or head, which train one, or model.head.pool: mean"
      )
    }
  }

  /// An adapter stands beside one stored matrix: what the peft library would put beside several at once is another function.
  private func checkAdapters() throws {
    guard let targets = settings.train.adaptation?.targets else { return }
    for tensor in family.tensors where tensor.place != nil {
      let layer = tensor.name.split(separator: ".").dropLast().last.map(String.init) ?? ""
      if targets.contains(layer) {
        throw OwnerError.unfitJob(
          "model.train.lora.targets: \(familyName) checkpoints store \(layer) "
            + (tensor.storedName == tensor.name ? "transposed" : "as a part of `\(tensor.storedName)`")
            + ", which an adapter cannot be added to; set model.train: all")
      }
    }
  }

  /// The class of the transformers library that loads the result; nil where it has none.
  var libraryClass: String? { family.libraryClass(task) }

  /// The token that positions are counted without; nil where a token's position is its column.
  var uncountedToken: Int32? {
    family.countsPositionsWithoutPadding ? sizes.paddingToken.flatMap { Int32(exactly: $0) } : nil
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

  /// How tokens become outputs: as the job says, else as the library's class does it.
  package var pooling: TokenPooling {
    if task.isPerToken { return .none }
    return settings.pool ?? libraryPooling
  }

  /// How the library's class pools.
  var libraryPooling: TokenPooling { type(of: family).poolings.first ?? .none }

  /// Whether the library's class looks for the pooled token itself: the last whose id is not the padding token's, whatever the mask says.
  var classFindsLastToken: Bool { pooling == .last && libraryPooling == .last }

  /// Whether a dense layer over the first token stands before the classifier.
  var hasPooler: Bool { pooling == .cls && family.pooler.map(directory.contains) ?? false }

  /// Whether the library's class has one there that this checkpoint lacks.
  var lacksPooler: Bool { pooling == .cls && family.pooler.map { !directory.contains($0) } ?? false }

  /// - Parameter recomputes: whether the trainer keeps only block inputs for the backward pass.
  /// - Parameter drawsPooler: whether a pooler that the checkpoint does not have is drawn; runs of earlier versions did without.
  package func graph(outputs: Int, maximumTokens: Int, recomputes: Bool, drawsPooler: Bool) throws -> ModelGraph {
    let pooler: ModelRequest.Pooler? = hasPooler ? .pretrained : lacksPooler && drawsPooler ? .fresh : nil
    return try family.graph(
      ModelRequest(
        task: task, pooling: pooling, pooler: pooler, outputs: outputs, trained: settings.train,
        maximumTokens: maximumTokens, recomputes: recomputes))
  }

  /// A tensor under its Hugging Face name, its norm's gain folded in where there is one. A tied head is the table of word vectors until
  /// then, and a weight of its own from then on.
  ///
  /// - Throws: as `PretrainedWeights.tensor`.
  func tensor<Element: FloatingElement>(_ name: String) throws(FileError) -> Tensor<Element> {
    var tensor: Tensor<Element> = try directory.tensor(named: name)
    if let gain: Tensor<Element> = try gain(readBy: name) { tensor.scaleColumns(by: gain) }
    return tensor
  }

  /// The gain folded into the columns of a weight; nil where none is.
  func gain<Element: FloatingElement>(readBy name: String) throws(FileError) -> Tensor<Element>? {
    guard let norm = norm(readBy: name) else { return nil }
    return try directory.tensor(named: norm)
  }

  /// The norm whose gain multiplies the columns of a weight. An adapter's first matrix reads what its layer reads; the second reads the first.
  private func norm(readBy name: String) -> String? {
    let adapter = ".lora_A.weight"
    return gains[name.hasSuffix(adapter) ? name.dropLast(adapter.count) + ".weight" : name]
  }

  /// Adapters are written for the checkpoint as it is, so that what was trained behind a folded gain is divided by it in the end.
  ///
  /// - Parameter trained: names of the weights that are trained.
  /// - Throws: `OwnerError.unfitData` for a gain that cannot be divided by; it would show only when everything is trained.
  func checkGains(readBy trained: [String]) throws {
    guard settings.train.adaptation != nil else { return }
    for name in trained {
      guard let gain: Tensor<Float> = try gain(readBy: name), let norm = norm(readBy: name) else { continue }
      if let column = gain.elements.firstIndex(where: { !$0.isNormal }) {
        throw OwnerError.unfitData(
          "\(settings.directory): `\(norm)` cannot be divided by in column \(column) (it is 0, nearly 0, or NaN), which "
            + "adapters that read it need; set model.train: all")
      }
    }
  }

  /// What turns this checkpoint's token ids into vectors.
  ///
  /// - Throws: `OwnerError.unfitData` for a table that holds NaN: it would show only where a token has it.
  package func embedding<Element: FloatingElement>() throws -> TokenEmbedding<Element> {
    try family.embedding { name in
      let tensor: Tensor<Element> = try directory.tensor(named: name)
      guard tensor.allFinite else {
        throw OwnerError.unfitData(
          "\(settings.directory): `\(name)` holds NaN or an infinity; start from finite weights")
      }
      return tensor
    }
  }
}
