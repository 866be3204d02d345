import Architecture

/// How the tensors of a family are called in its files, which differ by the class that saved them and by its age.
struct HuggingFaceNames {
  let family: TransformerFamily

  /// The name that the family's classes with a head use: the base model alone leaves out `bert.` or `model.`, and models from
  /// TensorFlow call a norm's gain and shift gamma and beta.
  func canonical(_ stored: String) -> String {
    switch family {
    case .bert:
      var name = stored
      if ["embeddings.", "encoder.", "pooler."].contains(where: name.hasPrefix) { name = "bert." + name }
      for (old, new) in [("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")]
      where name.hasSuffix(old) {
        name = String(name.dropLast(old.count)) + new
      }
      return name
    case .llama:
      return ["layers.", "embed_tokens.", "norm."].contains(where: stored.hasPrefix) ? "model." + stored : stored
    }
  }

  /// Whether a tensor that nobody asked for may be passed over: heads for other tasks, and tables that follow from the sizes.
  func isIgnorable(_ name: String) -> Bool {
    switch family {
    case .bert:
      return name == "bert.embeddings.position_ids"
        || ["cls.", "bert.pooler.", "classifier.", "qa_outputs."].contains(where: name.hasPrefix)
    case .llama:
      return name.hasSuffix(".rotary_emb.inv_freq")
        || ["lm_head.", "score.", "qa_outputs."].contains(where: name.hasPrefix)
    }
  }
}
