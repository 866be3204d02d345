import Architecture
import Checkpoints
import JobSpec

/// The text of `model/README.md` for a fine-tuned transformer: how the libraries load it.
struct TransformerReadme {
  let shape: JobShape
  let model: PretrainedModel

  var text: String {
    let classes =
      shape.data.classNames.map { names in
        "\n## Classes\n\n"
          + names.enumerated().map { "- \($0.offset): \($0.element)" }.joined(separator: "\n") + "\n"
      } ?? ""
    return """
      # \(shape.job.name)

      \(what), fine-tuned for \(shape.job.task.rawValue) on masked data and unmasked by its owner. These weights are plaintext.\
      \(ModelReadme.noise(shape.job))

      ```python
      \(loading)
      ```
      \(notes)\(classes)
      """
  }

  private var what: String {
    switch model.settings.train {
    case .all: "A \(model.configuration.family.rawValue) model"
    case .head: "A \(model.configuration.family.rawValue) model with a trained head"
    case .lora: "Low-rank adapters for a \(model.configuration.family.rawValue) model"
    }
  }

  private var loading: String {
    let name =
      HuggingFaceArchitecture(family: model.configuration.family, task: model.task)?.rawValue ?? "AutoModel"
    guard model.settings.train.adaptation != nil else {
      return """
        from transformers import \(name)

        model = \(name).from_pretrained(".")
        """
    }
    let head = model.task == .causalLanguageModel ? "" : ", num_labels=\(shape.data.outputs)"
    return """
      from peft import PeftModel
      from transformers import \(name)

      base = \(name).from_pretrained("\(model.settings.directory)"\(head))
      model = PeftModel.from_pretrained(base, ".")
      """
  }

  /// What the head reads where that is not what the library's class gives it; nil where it is.
  private var ownPooling: String? {
    switch (model.configuration.family, model.pooling) {
    case (_, .none), (.llama, .last), (.llama, .cls): nil
    case (_, .mean): "the average over a sample's tokens"
    case (.bert, .last): "a sample's last token"
    case (.bert, .cls): model.hasPooler ? nil : "a sample's first token, without a pooler"
    }
  }

  private var notes: String {
    var notes = ""
    if !model.foldedNorms.isEmpty, model.settings.train.adaptation == nil {
      notes +=
        "\nThe gains of the norms are 1: they were multiplied into the layers that read them before training, which changes no output.\n"
    }
    if let pooling = ownPooling {
      notes +=
        "\nThe class above does not pool as this model was trained: its head reads \(pooling). Take the encoder's last hidden states, pool them "
        + "so, and apply `\(model.configuration.family == .bert ? "classifier" : "score")` to the result.\n"
    }
    return notes
  }
}
