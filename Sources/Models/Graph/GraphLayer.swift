/// One layer of a `ModelGraph`: what it computes, and which values it reads. It writes the value whose number is its place in
/// the graph plus 1.
///
/// Coded as one flat object: `name`, `kind`, then the settings of that kind.
package struct GraphLayer: Sendable, Equatable {
  /// Dotted PyTorch prefix of its parameters: "layers.0".
  package let name: String
  package let operation: LayerOperation

  package init(_ name: String, _ operation: LayerOperation) {
    self.name = name
    self.operation = operation
  }
}

/// What a layer computes. Numbers of values count from 0, the graph's input.
package enum LayerOperation: Sendable, Equatable {
  /// y = residual + f(x Wᵀ + b), with a low-rank addition to W where there is one.
  case linear(LinearOperation)
  /// y = (x − mean) / √(variance + ε) ⊙ gain + shift over each row, in the space of x.
  case layerNorm(LayerNormOperation)
  /// y = x / √(mean of squares + ε) over each row, in the space of x; without a gain.
  case rootMeanSquareNorm(RootMeanSquareNormOperation)
  /// Rotary positions on every head of x, in the space of x.
  case rotary(RotaryOperation)
  /// Scaled dot-product attention within each sample.
  case attention(AttentionOperation)
  /// y = silu(gate) ⊙ up, in the space of `up`.
  case gate(GateOperation)
  /// The average of each sample's tokens, in the space of x.
  case mean(PoolingOperation)
  /// The row of each sample's pooled token, in the space of x.
  case selection(PoolingOperation)

  /// Numbers of the values it reads, in order.
  package var inputs: [Int] {
    switch self {
    case .linear(let linear): [linear.from] + (linear.residual.map { [$0] } ?? [])
    case .layerNorm(let norm): [norm.from]
    case .rootMeanSquareNorm(let norm): [norm.from]
    case .rotary(let rotary): [rotary.from]
    case .attention(let attention): [attention.query, attention.key, attention.value]
    case .gate(let gate): [gate.gate, gate.up]
    case .mean(let pooling), .selection(let pooling): [pooling.from]
    }
  }
}

package struct LinearOperation: Sendable, Equatable, Codable {
  package let from: Int
  /// The space of its output.
  package let to: SpaceID
  package let activation: Activation?
  /// A value of the output's space and rows that is added; only without an activation.
  package let residual: Int?
  package let parameters: LinearParameters
  package let lowRank: LowRankAddition?

  package init(
    from: Int, to: SpaceID, activation: Activation? = nil, residual: Int? = nil,
    parameters: LinearParameters = LinearParameters(), lowRank: LowRankAddition? = nil
  ) {
    self.from = from
    self.to = to
    self.activation = activation
    self.residual = residual
    self.parameters = parameters
    self.lowRank = lowRank
  }
}

/// Which parameters a linear layer has, and how they start.
package struct LinearParameters: Sendable, Equatable, Codable {
  /// Always true where the input is homogeneous: the bias is then a column of the weight.
  package let hasBias: Bool
  package let isTrained: Bool
  package let weightOrigin: ParameterOrigin
  package let biasOrigin: ParameterOrigin
  /// Whether the loss is known not to depend on the bias. Its gradient is then exactly 0 instead of the rounding noise that a sum of
  /// numbers which cancel leaves, and which Adam would blow up to whole steps.
  package let biasIsWithoutEffect: Bool

  package init(
    hasBias: Bool = true, isTrained: Bool = true, weightOrigin: ParameterOrigin = .linear,
    biasOrigin: ParameterOrigin = .linear, biasIsWithoutEffect: Bool = false
  ) {
    self.hasBias = hasBias
    self.isTrained = isTrained
    self.weightOrigin = weightOrigin
    self.biasOrigin = biasOrigin
    self.biasIsWithoutEffect = biasIsWithoutEffect
  }

  /// From the checkpoint that a job names.
  package static func pretrained(
    hasBias: Bool, isTrained: Bool, biasIsWithoutEffect: Bool = false
  ) -> LinearParameters {
    LinearParameters(
      hasBias: hasBias, isTrained: isTrained, weightOrigin: .pretrained, biasOrigin: .pretrained,
      biasIsWithoutEffect: biasIsWithoutEffect)
  }

  /// A classifier that no checkpoint has: Hugging Face's `initializer_range` of 0.02.
  package static func classifier(hasBias: Bool) -> LinearParameters {
    LinearParameters(hasBias: hasBias, weightOrigin: .normal(deviation: 0.02), biasOrigin: .zeros)
  }
}

/// The addition scale · B A to a weight (LoRA, Hu et al., 2021, section 4.1), A rank × in and B out × rank, both trained.
package struct LowRankAddition: Sendable, Equatable, Codable {
  /// The space between A and B; its width is the rank.
  package let rank: SpaceID
  /// Finite.
  package let scale: Double

  package init(rank: SpaceID, scale: Double) {
    self.rank = rank
    self.scale = scale
  }
}

package struct LayerNormOperation: Sendable, Equatable, Codable {
  package let from: Int
  /// Above 0.
  package let epsilon: Double
  /// Of gain and shift, which start from the checkpoint.
  package let isTrained: Bool

  package init(from: Int, epsilon: Double, isTrained: Bool) {
    self.from = from
    self.epsilon = epsilon
    self.isTrained = isTrained
  }
}

package struct RootMeanSquareNormOperation: Sendable, Equatable, Codable {
  package let from: Int
  /// Above 0.
  package let epsilon: Double

  package init(from: Int, epsilon: Double) {
    self.from = from
    self.epsilon = epsilon
  }
}

/// The heads are those of the value's space, whose form must be rotary.
package struct RotaryOperation: Sendable, Equatable, Codable {
  package let from: Int

  package init(from: Int) {
    self.from = from
  }
}

/// Heads and their width are those of the four spaces' forms, which must belong to one another.
package struct AttentionOperation: Sendable, Equatable, Codable {
  package let query: Int
  package let key: Int
  package let value: Int
  /// The space of its output, one row for each row of the queries.
  package let to: SpaceID
  /// Whether a token looks at itself and those before it alone.
  package let isCausal: Bool

  package init(query: Int, key: Int, value: Int, to: SpaceID, isCausal: Bool) {
    self.query = query
    self.key = key
    self.value = value
    self.to = to
    self.isCausal = isCausal
  }
}

package struct GateOperation: Sendable, Equatable, Codable {
  package let gate: Int
  package let up: Int

  package init(gate: Int, up: Int) {
    self.gate = gate
    self.up = up
  }
}

/// From tokens to samples.
package struct PoolingOperation: Sendable, Equatable, Codable {
  package let from: Int

  package init(from: Int) {
    self.from = from
  }
}

extension GraphLayer: Codable {
  private enum Kind: String, Codable {
    case linear, layerNorm, rmsNorm, rotary, attention, gate, mean, selection
  }

  private enum CodingKeys: CodingKey {
    case name, kind
  }

  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    name = try container.decode(String.self, forKey: .name)
    operation =
      switch try container.decode(Kind.self, forKey: .kind) {
      case .linear: .linear(try LinearOperation(from: decoder))
      case .layerNorm: .layerNorm(try LayerNormOperation(from: decoder))
      case .rmsNorm: .rootMeanSquareNorm(try RootMeanSquareNormOperation(from: decoder))
      case .rotary: .rotary(try RotaryOperation(from: decoder))
      case .attention: .attention(try AttentionOperation(from: decoder))
      case .gate: .gate(try GateOperation(from: decoder))
      case .mean: .mean(try PoolingOperation(from: decoder))
      case .selection: .selection(try PoolingOperation(from: decoder))
      }
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .name)
    let (kind, settings): (Kind, any Encodable) =
      switch operation {
      case .linear(let linear): (.linear, linear)
      case .layerNorm(let norm): (.layerNorm, norm)
      case .rootMeanSquareNorm(let norm): (.rmsNorm, norm)
      case .rotary(let rotary): (.rotary, rotary)
      case .attention(let attention): (.attention, attention)
      case .gate(let gate): (.gate, gate)
      case .mean(let pooling): (.mean, pooling)
      case .selection(let pooling): (.selection, pooling)
      }
    try container.encode(kind, forKey: .kind)
    try settings.encode(to: encoder)
  }
}
