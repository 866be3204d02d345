/// The sizes that the blocks of a transformer share, each checked on its own so that products of them cannot overflow.
package struct TransformerSizes: Sendable, Equatable {
  /// d: the width of a token vector.
  package let width: Int
  /// Heads of queries, and of keys and values; the latter divide the former (grouped-query attention: Ainslie et al., 2023).
  package let heads: Int
  package let keyValueHeads: Int
  package let headWidth: Int
  /// Width between the linear layers of a block's MLP.
  package let hidden: Int
  package let activation: Activation
  package let normEpsilon: Double
  /// Whether query, key and value projections have biases, whether the output projection has one, and the layers of the MLP.
  package let hasAttentionBiases: Bool
  package let hasAttentionOutputBias: Bool
  package let hasMLPBiases: Bool
  package let isRotary: Bool

  /// - Throws: `GraphError.outOfRange` for a size outside 1 … 2^20, heads outside 1 … 4096.
  package init(
    width: Int, heads: Int, keyValueHeads: Int, headWidth: Int, hidden: Int, activation: Activation,
    normEpsilon: Double, hasAttentionBiases: Bool, hasAttentionOutputBias: Bool, hasMLPBiases: Bool, isRotary: Bool
  ) throws(GraphError) {
    for (what, value, limit) in [
      ("width", width, 1 << 20), ("heads", heads, GraphValidation.maxHeads),
      ("key-value heads", keyValueHeads, GraphValidation.maxHeads),
      ("head width", headWidth, GraphValidation.maxHeadWidth), ("MLP width", hidden, 1 << 20),
    ] where !(1...limit).contains(value) {
      throw .outOfRange(what, value: value, allowed: 1...limit)
    }
    guard heads.isMultiple(of: keyValueHeads) else {
      throw .settings("\(heads) heads are not a multiple of \(keyValueHeads) heads of keys and values")
    }
    self.width = width
    self.heads = heads
    self.keyValueHeads = keyValueHeads
    self.headWidth = headWidth
    self.hidden = hidden
    self.activation = activation
    self.normEpsilon = normEpsilon
    self.hasAttentionBiases = hasAttentionBiases
    self.hasAttentionOutputBias = hasAttentionOutputBias
    self.hasMLPBiases = hasMLPBiases
    self.isRotary = isRotary
  }

  /// The space of token vectors between blocks.
  package var residual: Space { Space(id: SpaceID("residual"), width: width) }
}

/// What the layers of an attention are called.
package struct AttentionNames: Sendable {
  /// Layers without parameters: attention, and its rotary positions.
  let attention: String
  let query: String
  let key: String
  let value: String
  let output: String

  package init(attention: String, query: String, key: String, value: String, output: String) {
    self.attention = attention
    self.query = query
    self.key = key
    self.value = value
    self.output = output
  }
}

/// What a post-norm encoder block's layers are called.
package struct PostNormBlockNames: Sendable {
  /// Layers without parameters: the pooled token's selection, and attention.
  let pooling: String
  let attention: String
  let query: String
  let key: String
  let value: String
  let attentionOutput: String
  let attentionNorm: String
  let inner: String
  let outer: String
  let outputNorm: String

  package init(
    pooling: String, attention: String, query: String, key: String, value: String, attentionOutput: String,
    attentionNorm: String, inner: String, outer: String, outputNorm: String
  ) {
    self.pooling = pooling
    self.attention = attention
    self.query = query
    self.key = key
    self.value = value
    self.attentionOutput = attentionOutput
    self.attentionNorm = attentionNorm
    self.inner = inner
    self.outer = outer
    self.outputNorm = outputNorm
  }

  fileprivate var ofAttention: AttentionNames {
    AttentionNames(attention: attention, query: query, key: key, value: value, output: attentionOutput)
  }
}

/// What a pre-norm gated decoder block's layers are called.
package struct PreNormBlockNames: Sendable {
  /// Layers without parameters: the pooled token's selection, attention with its rotary positions, and the gate.
  let pooling: String
  let attention: String
  let gating: String
  let inputNorm: String
  let query: String
  let key: String
  let value: String
  let attentionOutput: String
  let attentionNorm: String
  let gate: String
  let up: String
  let down: String

  package init(
    pooling: String, attention: String, gating: String, inputNorm: String, query: String, key: String, value: String,
    attentionOutput: String, attentionNorm: String, gate: String, up: String, down: String
  ) {
    self.pooling = pooling
    self.attention = attention
    self.gating = gating
    self.inputNorm = inputNorm
    self.query = query
    self.key = key
    self.value = value
    self.attentionOutput = attentionOutput
    self.attentionNorm = attentionNorm
    self.gate = gate
    self.up = up
    self.down = down
  }

  fileprivate var ofAttention: AttentionNames {
    AttentionNames(attention: attention, query: query, key: key, value: value, output: attentionOutput)
  }
}

extension GraphBuilder {
  /// One block of an encoder, post-norm (Devlin et al., BERT, 2019): x₁ = norm(x + attention(x)), x₂ = norm(x₁ + W₂ f(W₁ x₁)), attention
  /// over the whole sequence.
  ///
  /// - Parameters:
  ///   - block: number of the block; its spaces are "layers.BLOCK.query" and so on.
  ///   - input: a value in the residual space.
  ///   - poolsToken: for the last block of a model that pools one token of each sample: it is computed for that token alone after its keys and
  ///     values, which changes no result.
  package mutating func addPostNormBlock(
    _ block: Int, _ names: PostNormBlockNames, _ sizes: TransformerSizes, from input: Int, poolsToken: Bool
  ) -> Int {
    addBlock { builder in
      let stream =
        poolsToken ? builder.add(names.pooling, .selection(PoolingOperation(from: input))) : input
      let attended = builder.addAttention(
        block, names.ofAttention, sizes, queriesFrom: stream, keysFrom: input, addedTo: stream, isCausal: false)
      let between = builder.addLayerNorm(names.attentionNorm, from: attended, epsilon: sizes.normEpsilon)
      let hidden = SpaceID("layers.\(block).hidden")
      builder.add(Space(id: hidden, width: sizes.hidden))
      let inner = builder.addLinear(
        names.inner, from: between, to: hidden, hasBias: sizes.hasMLPBiases, activation: sizes.activation)
      let sum = builder.addLinear(
        names.outer, from: inner, to: sizes.residual.id, hasBias: sizes.hasMLPBiases, residual: between)
      return builder.addLayerNorm(names.outputNorm, from: sum, epsilon: sizes.normEpsilon)
    }
  }

  /// One block of a decoder, pre-norm with a gated MLP (Touvron et al., LLaMA, 2023): x₁ = x + attention(norm(x)),
  /// x₂ = x₁ + W_down (silu(W_gate n) ⊙ W_up n) with n = norm(x₁), attention causal, with rotary positions where `sizes` says so. The norms have
  /// no gains: the owner has folded them into the layers that read the norms.
  ///
  /// - Parameters: as of `addPostNormBlock`.
  package mutating func addPreNormGatedBlock(
    _ block: Int, _ names: PreNormBlockNames, _ sizes: TransformerSizes, from input: Int, poolsToken: Bool
  ) -> Int {
    addBlock { builder in
      func pooled(_ value: Int) -> Int {
        poolsToken ? builder.add(names.pooling, .selection(PoolingOperation(from: value))) : value
      }
      let stream = pooled(input)
      let normed = builder.addRootMeanSquareNorm(names.inputNorm, from: input, epsilon: sizes.normEpsilon)
      let asking = pooled(normed)
      let attended = builder.addAttention(
        block, names.ofAttention, sizes, queriesFrom: asking, keysFrom: normed, addedTo: stream, isCausal: true)
      let between = builder.addRootMeanSquareNorm(names.attentionNorm, from: attended, epsilon: sizes.normEpsilon)
      let bias = sizes.hasMLPBiases
      let gateSpace = SpaceID("layers.\(block).gate")
      let upSpace = SpaceID("layers.\(block).up")
      builder.add(Space(id: gateSpace, width: sizes.hidden))
      builder.add(Space(id: upSpace, width: sizes.hidden, form: .sameOrder(as: gateSpace.name)))
      let gate = builder.addLinear(names.gate, from: between, to: gateSpace, hasBias: bias)
      let up = builder.addLinear(names.up, from: between, to: upSpace, hasBias: bias)
      let product = builder.add(names.gating, .gate(GateOperation(gate: gate, up: up)))
      return builder.addLinear(names.down, from: product, to: sizes.residual.id, hasBias: bias, residual: attended)
    }
  }

  /// stream + W_o attention(W_q x, W_k y, W_v y), with rotary positions where `sizes` says so.
  ///
  /// - Parameters:
  ///   - block: its spaces are "layers.BLOCK.query", "….key", "….value" and "….context": a leak audit tells by these names which of them share keys.
  ///   - queries: the value x, in the residual space.
  ///   - keys: the value y, in the residual space: that of all tokens, also where `queries` is that of the pooled ones.
  ///   - stream: what is added, with the rows of `queries`.
  /// - Returns: the number of a value in the residual space.
  package mutating func addAttention(
    _ block: Int, _ names: AttentionNames, _ sizes: TransformerSizes, queriesFrom queries: Int, keysFrom keys: Int,
    addedTo stream: Int, isCausal: Bool
  ) -> Int {
    func rotated(_ value: Int) -> Int {
      sizes.isRotary ? add(names.attention, .rotary(RotaryOperation(from: value))) : value
    }
    let spaces = addAttentionSpaces(block, sizes)
    let biases = sizes.hasAttentionBiases
    let query = rotated(addLinear(names.query, from: queries, to: spaces.query, hasBias: biases))
    // Where positions do not turn it, it adds the same q · b to the scores of one query with every key, which leaves the softmax unchanged.
    let key = rotated(
      addLinear(names.key, from: keys, to: spaces.key, hasBias: biases, biasIsWithoutEffect: !sizes.isRotary))
    let value = addLinear(names.value, from: keys, to: spaces.value, hasBias: biases)
    let context = add(
      names.attention,
      .attention(AttentionOperation(query: query, key: key, value: value, to: spaces.context, isCausal: isCausal)))
    return addLinear(
      names.output, from: context, to: sizes.residual.id, hasBias: sizes.hasAttentionOutputBias, residual: stream)
  }

  /// The four spaces of block `block`'s attention, in one order of heads.
  private mutating func addAttentionSpaces(
    _ block: Int, _ sizes: TransformerSizes
  ) -> (query: SpaceID, key: SpaceID, value: SpaceID, context: SpaceID) {
    func add(_ name: String, heads: Int, rotation: String, isRotary: Bool) -> SpaceID {
      let id = SpaceID("layers.\(block).\(name)")
      self.add(
        Space(
          id: id, width: heads * sizes.headWidth,
          form: .heads(
            HeadsForm(
              attention: "layers.\(block).attention", rotation: rotation, heads: heads, groups: sizes.keyValueHeads,
              headWidth: sizes.headWidth, isRotary: isRotary))))
      return id
    }
    return (
      add("query", heads: sizes.heads, rotation: "qk", isRotary: sizes.isRotary),
      add("key", heads: sizes.keyValueHeads, rotation: "qk", isRotary: sizes.isRotary),
      add("value", heads: sizes.keyValueHeads, rotation: "vo", isRotary: false),
      add("context", heads: sizes.heads, rotation: "vo", isRotary: false)
    )
  }
}
