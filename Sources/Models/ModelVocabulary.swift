/// Elementwise functions between layers.
package enum Activation: String, Sendable, Codable, CaseIterable {
  case relu
  /// x Φ(x) with the error function, PyTorch's default.
  case gelu
  /// GELU by its tanh approximation, x/2 (1 + tanh(√(2/π)(x + 0.044715 x³))): Hugging Face's gelu_new and gelu_pytorch_tanh.
  case geluTanh = "gelu_tanh"
  /// x σ(x).
  case silu
  case tanh

  /// The largest group that commutes with the function applied to each coordinate: an odd function also allows sign flips.
  package var largestGroup: SymmetryGroup {
    switch self {
    case .relu, .gelu, .geluTanh, .silu: .permutation
    case .tanh: .signedPermutation
    }
  }
}

/// How the tokens of a sample become its one row.
package enum TokenPooling: String, Sendable, Codable, CaseIterable {
  /// The token that the owner marks, the first.
  case cls
  /// The average of all tokens.
  case mean
  /// The token that the owner marks, the last.
  case last
  /// Every token is a row of its own: token classification, causal language modelling.
  case none
}

/// Rotary position embedding (Su et al., RoFormer, 2021, eq. 15): coordinate i of a head is turned together with coordinate
/// i + headWidth/2 by position · frequencies[i].
package struct RotaryDescription: Sendable, Equatable, Codable {
  /// Radians a position, headWidth/2 of them, after any scaling that the checkpoint asks for.
  package let frequencies: [Double]

  package init(frequencies: [Double]) {
    self.frequencies = frequencies
  }
}

/// Which weights of a pretrained model are trained; its embeddings never are.
package enum TrainedPart: Sendable, Equatable, Codable {
  case all
  /// The classifier alone, on a frozen model.
  case head
  /// Low-rank adapters of some linear layers, and a fresh classifier if there is one; the rest is frozen.
  case lora(LowRankAdaptation)

  package var adaptation: LowRankAdaptation? {
    if case .lora(let adaptation) = self { return adaptation }
    return nil
  }
}

/// LoRA (Hu et al., 2021, section 4.1): h = W x + alpha/rank · B A x with W frozen.
package struct LowRankAdaptation: Sendable, Equatable, Codable {
  /// At least 1.
  package let rank: Int
  package let alpha: Double
  /// Last components of the names of the linear layers that are adapted: "query", "q_proj"; sorted, none twice.
  package let targets: [String]

  package init(rank: Int, alpha: Double, targets: [String]) {
    self.rank = rank
    self.alpha = alpha
    self.targets = targets
  }

  package var scale: Double { alpha / Double(rank) }
}
