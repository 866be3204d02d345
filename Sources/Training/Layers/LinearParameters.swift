package import Architecture

/// Which parameters a linear layer has, and how they start.
package struct LinearParameters: Sendable {
  package let hasBias: Bool
  package let isTrained: Bool
  package let weightOrigin: ParameterOrigin
  package let biasOrigin: ParameterOrigin

  package init(
    hasBias: Bool = true, isTrained: Bool = true, weightOrigin: ParameterOrigin = .linear,
    biasOrigin: ParameterOrigin = .linear
  ) {
    self.hasBias = hasBias
    self.isTrained = isTrained
    self.weightOrigin = weightOrigin
    self.biasOrigin = biasOrigin
  }

  /// From the checkpoint that a job names.
  package static func pretrained(hasBias: Bool, isTrained: Bool) -> LinearParameters {
    LinearParameters(hasBias: hasBias, isTrained: isTrained, weightOrigin: .pretrained, biasOrigin: .pretrained)
  }

  /// A classifier that no checkpoint has: Hugging Face's `initializer_range` of 0.02.
  package static func classifier(hasBias: Bool) -> LinearParameters {
    LinearParameters(hasBias: hasBias, weightOrigin: .normal(deviation: 0.02), biasOrigin: .zeros)
  }
}
