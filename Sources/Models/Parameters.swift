/// A trained tensor: its name, its shape, and the spaces whose keys act on it.
///
/// A' = K_rows A K_columns⁻¹ for a matrix (shape `[rows, columns]`, PyTorch's out × in); b' = K_rows b for a vector
/// (shape `[rows]`, `columns` nil).
package struct ParameterSpecification: Sendable, Equatable {
  /// PyTorch's name: "layers.0.weight".
  package let name: String
  package let shape: [Int]
  package let rows: SpaceID
  package let columns: SpaceID?
  /// Set when the columns are homogeneous: the tensor is [W | b | 0_k] and `biasName` is where b is kept in plaintext
  /// checkpoints.
  package let homogeneous: HomogeneousColumns?
  package let biasName: String?
  /// False for a weight that training leaves as it is: it has no gradient and no optimizer state.
  package let isTrained: Bool
  package let origin: ParameterOrigin

  package init(
    name: String, shape: [Int], rows: SpaceID, columns: SpaceID?, homogeneous: HomogeneousColumns? = nil,
    biasName: String? = nil, isTrained: Bool = true, origin: ParameterOrigin = .linear
  ) {
    self.name = name
    self.shape = shape
    self.rows = rows
    self.columns = columns
    self.homogeneous = homogeneous
    self.biasName = biasName
    self.isTrained = isTrained
    self.origin = origin
  }
}

/// Where a parameter's starting values come from.
package enum ParameterOrigin: Sendable, Equatable {
  /// Drawn as PyTorch does for `nn.Linear`: uniform in ±1/√(inputs).
  case linear
  /// The checkpoint that the job names.
  case pretrained
  /// Drawn from a normal distribution with mean 0.
  case normal(deviation: Double)
  case zeros
}

/// Coded as the name of the case, or as the deviation of a normal distribution.
extension ParameterOrigin: Codable {
  private static let names = ["linear": ParameterOrigin.linear, "pretrained": .pretrained, "zeros": .zeros]

  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let deviation = try? container.decode(Double.self) {
      self = .normal(deviation: deviation)
      return
    }
    guard let origin = Self.names[try container.decode(String.self)] else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "not where a parameter starts from")
    }
    self = origin
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .linear: try container.encode("linear")
    case .pretrained: try container.encode("pretrained")
    case .normal(let deviation): try container.encode(deviation)
    case .zeros: try container.encode("zeros")
    }
  }
}

/// What a layer kind states about itself without numbers: the parameters it trains and the keys that commute with it.
///
/// `Training` adds forward and backward in the same file as a layer's rules; `Masking` reads the rules alone.
package protocol LayerRules: Sendable {
  /// Dotted PyTorch prefix: "layers.0".
  var name: String { get }
  var parameters: [ParameterSpecification] { get }
  /// One entry for each space the layer touches.
  var constraints: [SpaceConstraint] { get }
}

/// A model as the key resolver sees it: spaces, parameters and what each layer allows; no numbers and no order of work.
package struct ModelStructure: Sendable {
  /// In order of first use, input first.
  package let spaces: [Space]
  /// In checkpoint order.
  package let parameters: [ParameterSpecification]
  package let constraints: [SpaceConstraint]
  package let input: SpaceID
  package let output: SpaceID

  package init(spaces: [Space], layers: [any LayerRules], input: SpaceID, output: SpaceID) {
    self.spaces = spaces
    parameters = layers.flatMap(\.parameters)
    constraints = layers.flatMap(\.constraints)
    self.input = input
    self.output = output
  }

  package func space(_ id: SpaceID) -> Space? {
    spaces.first { $0.id == id }
  }
}
