import Files
import Foundation
import Foundations
import Models

/// The settings of a config.json by name. `null` counts as absent, as it does in Python.
package struct ConfigurationSettings {
  let members: [String: JSONValue]
  /// What errors put before a name: "rope_scaling." for settings of that object.
  var prefix = ""

  func value(_ name: String) -> JSONValue? {
    members[name].flatMap { $0 == .null ? nil : $0 }
  }

  /// - Parameter fallback: the default of the reference implementation; nil where there must be a value.
  func integer(
    _ name: String, in range: ClosedRange<Int>, default fallback: Int? = nil
  ) throws(HuggingFaceProblem) -> Int {
    guard let integer = try optionalInteger(name, in: range) ?? fallback else { throw .missingSetting(prefix + name) }
    return integer
  }

  func optionalInteger(_ name: String, in range: ClosedRange<Int>) throws(HuggingFaceProblem) -> Int? {
    guard let value = value(name) else { return nil }
    guard case .number(let text) = value, let integer = Int(text), range.contains(integer) else {
      throw .setting(prefix + name, expected: "an integer from \(range.lowerBound) to \(range.upperBound)")
    }
    return integer
  }

  /// A finite number, at least 0, or above 0 where `isPositive`.
  func number(
    _ name: String, isPositive: Bool, default fallback: Double? = nil
  ) throws(HuggingFaceProblem) -> Double {
    guard let value = value(name) else {
      guard let fallback else { throw .missingSetting(prefix + name) }
      return fallback
    }
    guard case .number(let text) = value, let number = Double(text), number.isFinite, number > 0 || !isPositive,
      number >= 0
    else { throw .setting(prefix + name, expected: "a number \(isPositive ? "above" : "at least") 0") }
    return number
  }

  func boolean(_ name: String, default fallback: Bool) throws(HuggingFaceProblem) -> Bool {
    guard let value = value(name) else { return fallback }
    guard case .boolean(let boolean) = value else { throw .setting(prefix + name, expected: "true or false") }
    return boolean
  }

  func text(_ name: String, default fallback: String? = nil) throws(HuggingFaceProblem) -> String {
    guard let value = value(name) else {
      guard let fallback else { throw .missingSetting(prefix + name) }
      return fallback
    }
    guard case .string(let text) = value else { throw .setting(prefix + name, expected: "text") }
    return text
  }

  func object(_ name: String) throws(HuggingFaceProblem) -> ConfigurationSettings? {
    guard let value = value(name) else { return nil }
    guard case .object(let members) = value else { throw .setting(prefix + name, expected: "an object") }
    return ConfigurationSettings(members: members, prefix: prefix + name + ".")
  }

  /// One of the words that `meanings` explains.
  func choice<Meaning>(
    _ name: String, _ meanings: KeyValuePairs<String, Meaning>, default fallback: String? = nil
  ) throws(HuggingFaceProblem) -> Meaning {
    let word = try text(name, default: fallback)
    guard let found = meanings.first(where: { $0.key == word }) else {
      throw .unsupportedSetting(
        prefix + name, found: word.printable(limit: 80), supported: meanings.map(\.key).joined(separator: ", "))
    }
    return found.value
  }

  /// The function between the linear layers of a block's MLP, under the library's name (`ACT2FN`).
  func activation(_ name: String, default fallback: String) throws(HuggingFaceProblem) -> Activation {
    try choice(
      name,
      [
        "gelu": Activation.gelu, "gelu_new": .geluTanh, "gelu_pytorch_tanh": .geluTanh, "gelu_fast": .geluTanh,
        "relu": .relu, "silu": .silu, "swish": .silu, "tanh": .tanh,
      ], default: fallback)
  }

  /// Refuses a setting that is anything but absent, false, 0, empty or one of `harmless`.
  func refuse(_ name: String, unless harmless: JSONValue..., supported: String) throws(HuggingFaceProblem) {
    guard let value = value(name), value != .boolean(false), value != .object([:]), value != .array([]),
      !harmless.contains(value)
    else { return }
    throw .unsupportedSetting(prefix + name, found: value.summary, supported: supported)
  }
}

extension JSONValue {
  /// For an error message: what a long value is rather than all of it.
  fileprivate var summary: String {
    switch self {
    case .array: "a list"
    case .object: "an object"
    default: text().printable(limit: 80)
    }
  }
}

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
