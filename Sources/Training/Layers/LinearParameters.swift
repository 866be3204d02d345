package import Architecture

/// Which parameters a linear layer has, and how they start.
package struct LinearParameters: Sendable {
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
