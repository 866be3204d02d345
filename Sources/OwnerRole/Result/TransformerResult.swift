import Families
import Files
import JobSpec
import Models
import Numerics

/// Writes a finished transformer as an ordinary Hugging Face directory, or its adapters as a PEFT directory, and reads them back.
struct TransformerExport<Element: FloatingElement> {
  let shape: JobShape
  let model: PretrainedModel
  /// The trained parameters, unmasked, by name.
  let trained: NamedTensors<Element>

  /// - Throws: `FileError`, of kind `.exhausted` on a full disk.
  func write(to directory: String) throws {
    if let adaptation = model.settings.train.adaptation { return try writeAdapters(adaptation, to: directory) }
    guard let libraryClass = model.libraryClass else {
      throw OwnerError.unfitJob("the transformers library has no class for this model and task")
    }
    let base = PretrainedWeights(model: model, fresh: nil)
    let tensors = PlaintextTensors<Element>(
      model: model, specifications: shape.structure.parameters,
      weights: FinishedWeights(trained: trained, frozen: base)
    ).tensors
    try HuggingFaceExport(
      libraryClass: libraryClass, task: model.task, outputs: shape.data.outputs, classNames: shape.data.classNames,
      tiesWordEmbeddings: false, paddingToken: model.sizes.paddingToken ?? shape.data.paddingToken
    ).write(tensors, original: model.directory, to: directory)
  }

  /// Adapters and classifier as the original checkpoint needs them: what was trained behind a folded gain is divided by it, because
  /// there the gain is still in its place.
  private func writeAdapters(_ adaptation: LowRankAdaptation, to directory: String) throws {
    var tensors: [SafetensorsTensor] = []
    for (name, tensor) in trained {
      tensors.append(SafetensorsTensor(name, try unfolded(tensor, name)))
    }
    try AdapterExport(
      adaptation: adaptation, task: model.task, baseModel: model.settings.directory,
      headModules: type(of: model.family).headModules
    ).write(tensors, to: directory)
  }

  /// No gain is 0: `PretrainedModel.checkGains` ran before training.
  private func unfolded(_ tensor: Tensor<Element>, _ name: String) throws -> Tensor<Element> {
    guard let gain: Tensor<Element> = try model.gain(readBy: name) else { return tensor }
    var result = tensor
    result.scaleColumns(by: gain, dividing: true)
    return result
  }

  /// The weights that `write` wrote into `directory`, as the trainer has them.
  static func weights(in directory: String, shape: JobShape) throws -> any PlaintextWeights {
    guard let model = shape.pretrained else { throw OwnerError.unfitJob("the job names no checkpoint") }
    let trained = shape.structure.parameters.filter(\.isTrained)
    var tensors = NamedTensors<Element>()
    if model.settings.train.adaptation != nil {
      let file = try SafetensorsFile(path: directory + "/" + AdapterExport.fileName)
      for specification in trained {
        var tensor: Tensor<Element> = try file.tensor(AdapterExport.prefix + specification.name)
        if let gain: Tensor<Element> = try model.gain(readBy: specification.name) { tensor.scaleColumns(by: gain) }
        tensors[specification.name] = tensor
      }
      return FinishedWeights(trained: tensors, frozen: PretrainedWeights(model: model, fresh: nil))
    }
    let finished = try HuggingFaceDirectory(directory)
    for specification in trained {
      tensors[specification.name] = try finished.tensor(named: specification.name)
    }
    return FinishedWeights(trained: tensors, frozen: PretrainedWeights(model: model, fresh: nil))
  }
}

/// The text of `model/README.md` for a fine-tuned transformer: how the libraries load it.
struct TransformerReadme {
  let shape: JobShape
  let model: PretrainedModel
  let origin: ModelOrigin

  var text: String {
    """
    # \(shape.job.name)

    \(what), fine-tuned for \(shape.job.task.rawValue) \(origin.text). These weights are plaintext.\
    \(ModelReadme.noise(shape.job))

    ```python
    \(loading)
    ```
    \(notes)\(ModelReadme.classes(shape.data))
    """
  }

  private var what: String {
    switch model.settings.train {
    case .all: "A \(model.familyName) model"
    case .head: "A \(model.familyName) model with a trained head"
    case .lora: "Low-rank adapters for a \(model.familyName) model"
    }
  }

  private var loading: String {
    let name = model.libraryClass ?? "AutoModel"
    guard model.settings.train.adaptation != nil else {
      return """
        from transformers import \(name)

        model = \(name).from_pretrained(".")
        """
    }
    let padding =
      model.sizes.paddingToken == nil ? shape.data.paddingToken.map { "\nbase.config.pad_token_id = \($0)" } ?? "" : ""
    let head = model.task == .causalLanguageModel ? "" : ", num_labels=\(shape.data.outputs)"
    return """
      from peft import PeftModel
      from transformers import \(name)

      base = \(name).from_pretrained("\(model.settings.directory)"\(head))\(padding)
      model = PeftModel.from_pretrained(base, ".")
      """
  }

  private var hasPooler: Bool { model.hasPooler || shape.data.drawsPooler == true }

  /// What the head reads, where it differs from what the library's class feeds it; nil where it does not.
  private var ownPooling: String? {
    if model.pooling == model.libraryPooling, model.family.pooler == nil || hasPooler { return nil }
    return switch model.pooling {
    case .none: nil
    case .mean: "the average over a sample's tokens"
    case .last: "a sample's last token"
    case .cls: "a sample's first token, without a pooler"
    }
  }

  private var head: String {
    type(of: model.family).headSteps(model.task).map { "`\($0)`" }.joined(separator: ", then ")
  }

  private var notes: String {
    var notes = ""
    if !model.family.foldedNorms.isEmpty, model.settings.train.adaptation == nil {
      notes +=
        "\nThe gains of the norms are 1: they were multiplied into the layers that read them before training, which changes no output.\n"
    }
    if model.classFindsLastToken, model.sizes.paddingToken ?? shape.data.paddingToken == nil {
      notes +=
        "\nThe checkpoint names no padding token, and the data shows none that ends no text. Before the class is given texts of different "
        + "lengths at once, `config.pad_token_id` must be set to what pads them, an id that ends no text.\n"
    }
    if let pooling = ownPooling {
      notes +=
        "\nThe class above does not pool as this model was trained: its head reads \(pooling). Take the encoder's last hidden states, pool them "
        + "so, and apply \(head) to the result.\n"
    }
    return notes
  }
}
