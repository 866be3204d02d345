import Files
import Foundations
import Models
import Numerics

/// What BERT and its descendants call the layers of an encoder's blocks, which are otherwise the same: attention over the whole sequence and a
/// MLP, a LayerNorm after either, biases everywhere.
struct PostNormEncoder {
  /// What stands before the number of a block: "bert.encoder.layer".
  let blocks: String
  /// After the number, of the layer without parameters.
  let attention: String
  /// After the number, in the order of the library's modules.
  let query: String
  let key: String
  let value: String
  let attentionOutput: String
  let attentionNorm: String
  let inner: String
  let outer: String
  let outputNorm: String

  /// As BERT calls them, under another model's prefix.
  static func likeBERT(_ prefix: String) -> PostNormEncoder {
    PostNormEncoder(
      blocks: "\(prefix).encoder.layer", attention: "attention.self", query: "attention.self.query",
      key: "attention.self.key", value: "attention.self.value", attentionOutput: "attention.output.dense",
      attentionNorm: "attention.output.LayerNorm", inner: "intermediate.dense", outer: "output.dense",
      outputNorm: "output.LayerNorm")
  }

  func tensors(_ sizes: CheckpointSizes) -> [FamilyTensor] {
    let width = sizes.width
    return (0..<sizes.blocks).flatMap { block in
      let prefix = "\(blocks).\(block)"
      var tensors: [FamilyTensor] = []
      for name in [query, key, value, attentionOutput] {
        tensors += FamilyTensor.linear("\(prefix).\(name)", width, width, hasBias: true)
      }
      tensors += FamilyTensor.layerNorm("\(prefix).\(attentionNorm)", width)
      tensors += FamilyTensor.linear("\(prefix).\(inner)", sizes.hidden, width, hasBias: true)
      tensors += FamilyTensor.linear("\(prefix).\(outer)", width, sizes.hidden, hasBias: true)
      return tensors + FamilyTensor.layerNorm("\(prefix).\(outputNorm)", width)
    }
  }

  /// All blocks, and the pooling of their output where it is not a token's.
  ///
  /// - Returns: the value that the head reads.
  func add(
    to builder: inout GraphBuilder, _ request: ModelRequest, _ sizes: CheckpointSizes
  ) throws(GraphError) -> Int {
    let ofBlocks = try sizes.ofBlocks()
    var stream = GraphBuilder.input
    for block in 0..<sizes.blocks {
      let name = "\(blocks).\(block)"
      let names = PostNormBlockNames(
        pooling: "\(name).pooling", attention: "\(name).\(attention)", query: "\(name).\(query)",
        key: "\(name).\(key)", value: "\(name).\(value)", attentionOutput: "\(name).\(attentionOutput)",
        attentionNorm: "\(name).\(attentionNorm)", inner: "\(name).\(inner)", outer: "\(name).\(outer)",
        outputNorm: "\(name).\(outputNorm)")
      stream = builder.addPostNormBlock(
        block, names, ofBlocks, from: stream, poolsToken: request.poolsToken(block, of: sizes))
    }
    return request.pooling == .mean ? builder.add("pooling", .mean(PoolingOperation(from: stream))) : stream
  }

  /// Names as files have had them: without the prefix where the base model alone was saved, and a norm's gain and shift called gamma and
  /// beta by models from TensorFlow.
  static func canonicalName(_ stored: String, prefix: String, modules: [String]) -> String {
    var name = stored
    if modules.contains(where: { name.hasPrefix("\($0).") }) { name = "\(prefix).\(name)" }
    for (old, new) in [("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")]
    where name.hasSuffix(old) {
      name = String(name.dropLast(old.count)) + new
    }
    return name
  }
}

extension CheckpointSizes {
  /// As `BertConfig` and those made from it have them: the same names, with defaults of their own where there are parameters.
  ///
  /// - Parameter countsPositionsWithoutPadding: whether the table of positions has its first rows for the padding token and the ids below.
  static func likeBERT(
    _ settings: ConfigurationSettings, width: Int = 768, heads: Int = 12, hidden: Int = 3072, vocabulary: Int = 30522,
    paddingToken: Int = 0, countsPositionsWithoutPadding: Bool = false
  ) throws(HuggingFaceProblem) -> CheckpointSizes {
    try settings.refuse("position_embedding_type", unless: "absolute", supported: "absolute")
    try settings.refuse("is_decoder", supported: "false")
    let width = try settings.integer("hidden_size", in: widths, default: width)
    let heads = try settings.integer("num_attention_heads", in: widths, default: heads)
    guard width.isMultiple(of: heads) else {
      throw .setting("num_attention_heads", expected: "a divisor of `hidden_size` (\(width))")
    }
    let padding = try settings.optionalInteger("pad_token_id", in: 0...(1 << 24)) ?? paddingToken
    let rows = try settings.integer("max_position_embeddings", in: vocabularies, default: 512)
    let positions = countsPositionsWithoutPadding ? rows - padding - 1 : rows
    guard positions > 0 else {
      throw .setting(
        "max_position_embeddings", expected: "above `pad_token_id` (\(padding)) + 1, from which positions count")
    }
    return CheckpointSizes(
      width: width, blocks: try settings.integer("num_hidden_layers", in: blockCounts, default: 12),
      heads: heads, keyValueHeads: heads, headWidth: width / heads,
      hidden: try settings.integer("intermediate_size", in: widths, default: hidden),
      activation: try settings.activation("hidden_act", default: "gelu"),
      normEpsilon: try settings.number("layer_norm_eps", isPositive: true, default: 1e-12), rotary: nil,
      hasAttentionBiases: true, hasMLPBiases: true,
      vocabulary: try settings.integer("vocab_size", in: vocabularies, default: vocabulary), positions: positions,
      tokenTypes: try settings.integer("type_vocab_size", in: widths, default: 2), paddingToken: padding,
      initializerRange: try settings.number("initializer_range", isPositive: false, default: 0.02),
      tiesWordEmbeddings: try settings.boolean("tie_word_embeddings", default: true))
  }
}

/// The tables that BERT and its descendants add up, and the norm over their sum.
struct BERTEmbeddings {
  let prefix: String
  /// Of the tables: e.
  let width: Int
  /// Rows of the table of positions.
  let positionRows: Int

  static func words(_ prefix: String) -> String { "\(prefix).embeddings.word_embeddings.weight" }

  private var positions: String { "\(prefix).embeddings.position_embeddings.weight" }
  private var types: String { "\(prefix).embeddings.token_type_embeddings.weight" }
  private var norm: String { "\(prefix).embeddings.LayerNorm" }

  /// - Parameter sizes: no table of types where there are none.
  func tensors(_ sizes: CheckpointSizes) -> [FamilyTensor] {
    var tensors = [
      FamilyTensor(Self.words(prefix), [sizes.vocabulary, width], role: .embedding),
      FamilyTensor(positions, [positionRows, width], role: .embedding),
    ]
    if sizes.tokenTypes > 0 { tensors.append(FamilyTensor(types, [sizes.tokenTypes, width], role: .embedding)) }
    return tensors + FamilyTensor.layerNorm(norm, width, role: .embedding)
  }

  /// - Parameters:
  ///   - firstPosition: the row of the table that a token at position 0 has.
  ///   - tensor: reads a tensor by its name.
  func embedding<Element: FloatingElement>(
    _ sizes: CheckpointSizes, firstPosition: Int = 0, projection: TokenEmbedding<Element>.Projection? = nil,
    _ tensor: (String) throws -> Tensor<Element>
  ) throws -> TokenEmbedding<Element> {
    TokenEmbedding(
      words: try tensor(Self.words(prefix)), positions: try tensor(positions).dropping(rows: firstPosition),
      types: sizes.tokenTypes > 0 ? try tensor(types) : nil,
      norm: .init(
        gain: try tensor(norm + ".weight"), shift: try tensor(norm + ".bias"), epsilon: sizes.normEpsilon),
      projection: projection)
  }
}

extension Tensor {
  /// Without its first rows, of which it has at least so many.
  func dropping(rows: Int) -> Tensor {
    rows == 0 ? self : slice(rows: rows..<self.rows)
  }
}
