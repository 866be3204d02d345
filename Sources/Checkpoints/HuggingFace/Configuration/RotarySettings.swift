import Foundation

/// How a config.json asks for rotary positions: `rope_theta` with `rope_scaling`, or both in `rope_parameters` (transformers 5).
struct RotarySettings {
  enum Scaling: Equatable {
    case none
    /// Positions are divided by `factor` (Chen et al., Position Interpolation, 2023).
    case linear(factor: Double)
    /// Long waves are stretched by `factor`, short ones stay, those between are interpolated (Llama 3.1).
    case llama3(factor: Double, low: Double, high: Double, originalPositions: Int)
  }

  private enum Kind { case none, linear, llama3 }

  let theta: Double
  let scaling: Scaling

  /// - Parameter positions: what `original_max_position_embeddings` is where the settings do not say.
  init(_ settings: ConfigurationSettings, positions: Int) throws(HuggingFaceProblem) {
    let outerTheta = try settings.number("rope_theta", isPositive: true, default: 10_000)
    try settings.refuse("partial_rotary_factor", unless: 1, .number("1.0"), supported: "1")
    let scalingSettings = try settings.object("rope_scaling")
    let parameters = try settings.object("rope_parameters")
    guard let inner = scalingSettings ?? parameters else {
      theta = outerTheta
      scaling = .none
      return
    }
    theta = try inner.number("rope_theta", isPositive: true, default: outerTheta)
    try inner.refuse("partial_rotary_factor", unless: 1, .number("1.0"), supported: "1")
    let name = inner.value("rope_type") == nil && inner.value("type") != nil ? "type" : "rope_type"
    let kinds: KeyValuePairs<String, Kind> = ["default": .none, "linear": .linear, "llama3": .llama3]
    switch try inner.choice(name, kinds, default: "default") {
    case .none: scaling = .none
    case .linear: scaling = .linear(factor: try inner.number("factor", isPositive: true))
    case .llama3:
      let low = try inner.number("low_freq_factor", isPositive: true)
      let high = try inner.number("high_freq_factor", isPositive: true)
      guard high > low else {
        throw .setting(inner.prefix + "high_freq_factor", expected: "above `low_freq_factor`")
      }
      scaling = .llama3(
        factor: try inner.number("factor", isPositive: true), low: low, high: high,
        originalPositions: try inner.integer(
          "original_max_position_embeddings", in: 1...(1 << 24), default: positions))
    }
  }

  /// Radians a position, headWidth/2 of them: θ^(−2i/headWidth), scaled.
  func frequencies(headWidth: Int) -> [Double] {
    (0..<headWidth / 2).map { index in
      let frequency = pow(theta, -Double(2 * index) / Double(headWidth))
      switch scaling {
      case .none: return frequency
      case .linear(let factor): return frequency / factor
      case .llama3(let factor, let low, let high, let originalPositions):
        // Waves in the original context.
        let waves = Double(originalPositions) * frequency / (2 * .pi)
        if waves > high { return frequency }
        if waves < low { return frequency / factor }
        let share = (waves - low) / (high - low)
        return (1 - share) * frequency / factor + share * frequency
      }
    }
  }
}
