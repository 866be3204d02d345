import Architecture

extension HuggingFaceConfiguration {
  /// The tensors that the configuration describes, under the names that the family's classes with a head have, in the order of
  /// their modules.
  ///
  /// - Parameters:
  ///   - pooler: whether BERT's dense layer over its first token is one of them.
  ///   - languageModelHead: whether `lm_head.weight` is; where word embeddings are tied, it is read from those.
  package func tensors(pooler: Bool, languageModelHead: Bool) -> [TensorDescription] {
    switch family {
    case .bert: bertTensors(pooler: pooler)
    case .llama: llamaTensors(languageModelHead: languageModelHead)
    }
  }

  private func bertTensors(pooler: Bool) -> [TensorDescription] {
    let embeddings = "bert.embeddings"
    var tensors = [
      TensorDescription(name: wordEmbeddings, shape: [vocabulary, width]),
      TensorDescription(name: "\(embeddings).position_embeddings.weight", shape: [positions, width]),
      TensorDescription(name: "\(embeddings).token_type_embeddings.weight", shape: [tokenTypes, width]),
    ]
    tensors += norm("\(embeddings).LayerNorm")
    for block in 0..<blocks {
      let prefix = "bert.encoder.layer.\(block)"
      for name in ["query", "key", "value"] {
        tensors += linear("\(prefix).attention.self.\(name)", width, width, hasBias: true)
      }
      tensors += linear("\(prefix).attention.output.dense", width, width, hasBias: true)
      tensors += norm("\(prefix).attention.output.LayerNorm")
      tensors += linear("\(prefix).intermediate.dense", hidden, width, hasBias: true)
      tensors += linear("\(prefix).output.dense", width, hidden, hasBias: true)
      tensors += norm("\(prefix).output.LayerNorm")
    }
    if pooler { tensors += linear("bert.pooler.dense", width, width, hasBias: true) }
    return tensors
  }

  private func llamaTensors(languageModelHead: Bool) -> [TensorDescription] {
    var tensors = [TensorDescription(name: wordEmbeddings, shape: [vocabulary, width])]
    let keys = keyValueHeads * headWidth
    let queries = heads * headWidth
    for block in 0..<blocks {
      let prefix = "model.layers.\(block)"
      let attention = "\(prefix).self_attn"
      tensors += linear("\(attention).q_proj", queries, width, hasBias: hasAttentionBiases)
      tensors += linear("\(attention).k_proj", keys, width, hasBias: hasAttentionBiases)
      tensors += linear("\(attention).v_proj", keys, width, hasBias: hasAttentionBiases)
      tensors += linear("\(attention).o_proj", width, queries, hasBias: hasAttentionBiases)
      for name in ["gate_proj", "up_proj"] {
        tensors += linear("\(prefix).mlp.\(name)", hidden, width, hasBias: hasMLPBiases)
      }
      tensors += linear("\(prefix).mlp.down_proj", width, hidden, hasBias: hasMLPBiases)
      tensors.append(TensorDescription(name: "\(prefix).input_layernorm.weight", shape: [width]))
      tensors.append(TensorDescription(name: "\(prefix).post_attention_layernorm.weight", shape: [width]))
    }
    tensors.append(TensorDescription(name: "model.norm.weight", shape: [width]))
    if languageModelHead { tensors.append(TensorDescription(name: "lm_head.weight", shape: [vocabulary, width])) }
    return tensors
  }

  private func linear(_ name: String, _ outputs: Int, _ inputs: Int, hasBias: Bool) -> [TensorDescription] {
    let weight = TensorDescription(name: "\(name).weight", shape: [outputs, inputs])
    return hasBias ? [weight, TensorDescription(name: "\(name).bias", shape: [outputs])] : [weight]
  }

  private func norm(_ name: String) -> [TensorDescription] {
    ["weight", "bias"].map { TensorDescription(name: "\(name).\($0)", shape: [width]) }
  }
}
