/// A model as the trainer is told it: layers in execution order over numbered values, with shapes, kinds and the spaces that keys
/// belong to; no numbers of a weight.
///
/// Value 0 is the input; layer i reads values up to i and writes value i + 1; the last layer writes the output. Width and rows of a
/// value follow from its space and from what wrote it, so that they cannot contradict each other.
///
/// A graph that exists is valid: whatever a hostile owner could state is refused when it is made (`GraphValidation`), before
/// anything of a stated size is allocated. Parameters, in the order of the layers, are those that the layers' kinds have.
package struct ModelGraph: Sendable, Equatable {
  /// The input's first; each is the space of a value or of a low rank, none stands here twice.
  package let spaces: [Space]
  /// Tokens of the longest sample; nil where a sample is one row.
  package let maximumTokens: Int?
  /// Radians a position, half as many as a head is wide, after any scaling that the checkpoint asks for; empty where no layer is rotary.
  package let rotaryFrequencies: [Double]
  package let layers: [GraphLayer]
  /// Ranges of layers of which only what crosses their borders is kept for the backward pass, which computes the rest again; ascending,
  /// without overlap, empty where everything is kept.
  package let recomputedBlocks: [Range<Int>]
  /// Of the input, then of each layer's output.
  package let values: [ModelValue]

  /// - Throws: `GraphError` for whatever could not be trained, or not with right gradients.
  package init(
    spaces: [Space], maximumTokens: Int? = nil, rotaryFrequencies: [Double] = [], layers: [GraphLayer],
    recomputedBlocks: [Range<Int>] = []
  ) throws(GraphError) {
    var validation = try GraphValidation(
      spaces: spaces, maximumTokens: maximumTokens, rotaryFrequencies: rotaryFrequencies, layers: layers.count)
    for layer in layers { try validation.add(layer) }
    try validation.finish(recomputedBlocks: recomputedBlocks)
    self.spaces = spaces
    self.maximumTokens = maximumTokens
    self.rotaryFrequencies = rotaryFrequencies
    self.layers = layers
    self.recomputedBlocks = recomputedBlocks
    values = validation.values
  }

  package var input: ModelValue { values[0] }
  package var output: ModelValue { values[values.count - 1] }

  /// Whether the output has a row for each token.
  package var hasOutputsByToken: Bool { output.domain == .tokens }

  /// Whether a layer reads each sample's pooled token.
  package var needsPooledTokens: Bool {
    layers.contains { layer in
      switch layer.operation {
      case .selection: true
      case .rotary(let rotary): values[rotary.from].domain == .samples
      case .attention(let attention): attention.isCausal && values[attention.query].domain == .samples
      case .linear, .layerNorm, .rootMeanSquareNorm, .gate, .mean: false
      }
    }
  }

  package func space(_ id: SpaceID) -> Space? {
    spaces.first { $0.id == id }
  }
}

/// A matrix of activations that flows between layers: rows × `width`, in a space; a row is a sample or a token.
///
/// Several values may live in one space: the residual stream is one space read and written many times.
package struct ModelValue: Sendable, Equatable {
  package let space: SpaceID
  package let width: Int
  package let domain: RowDomain

  package init(space: SpaceID, width: Int, domain: RowDomain = .samples) {
    self.space = space
    self.width = width
    self.domain = domain
  }
}

/// What the rows of a value are.
package enum RowDomain: Sendable, Equatable {
  /// One row a token. Where a sample is one row (an MLP) this is the same as `samples`, and only `samples` is used.
  case tokens
  /// One row a sample.
  case samples
}

/// A reader of JSON passes over keys that it does not know: whatever is added to a graph, or to a layer's settings, would be left out of
/// the model without a word by a trainer of before, and therefore needs a new version of the protocol.
extension ModelGraph: Codable {
  private enum CodingKeys: CodingKey {
    case spaces, maximumTokens, rotaryFrequencies, layers, recomputedBlocks
  }

  /// - Throws: `GraphError` as `init`, `DecodingError`.
  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    try self.init(
      spaces: container.decode([Space].self, forKey: .spaces),
      maximumTokens: container.decodeIfPresent(Int.self, forKey: .maximumTokens),
      rotaryFrequencies: container.decodeIfPresent([Double].self, forKey: .rotaryFrequencies) ?? [],
      layers: container.decode([GraphLayer].self, forKey: .layers),
      recomputedBlocks: container.decodeIfPresent([Range<Int>].self, forKey: .recomputedBlocks) ?? [])
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(spaces, forKey: .spaces)
    try container.encodeIfPresent(maximumTokens, forKey: .maximumTokens)
    if !rotaryFrequencies.isEmpty { try container.encode(rotaryFrequencies, forKey: .rotaryFrequencies) }
    try container.encode(layers, forKey: .layers)
    if !recomputedBlocks.isEmpty { try container.encode(recomputedBlocks, forKey: .recomputedBlocks) }
  }
}
