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
