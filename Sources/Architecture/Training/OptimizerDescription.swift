/// An optimizer and its settings; formulas in `Training`.
package struct OptimizerDescription: Sendable, Equatable, Codable {
  package enum Kind: String, Sendable, Codable, CaseIterable {
    case sgd
    case muon
    case adamw
  }

  package let kind: Kind
  /// Peak learning rate, above 0.
  package let learningRate: Double
  /// 0 ≤ μ < 1; unused by adamw.
  package let momentum: Double
  /// sgd only.
  package let nesterov: Bool
  /// At least 0; coupled for sgd, decoupled for muon and adamw.
  package let weightDecay: Double
  /// Largest global gradient norm, above 0; nil leaves gradients as they are.
  package let clipNorm: Double?

  package init(
    kind: Kind, learningRate: Double, momentum: Double, nesterov: Bool, weightDecay: Double, clipNorm: Double?
  ) {
    self.kind = kind
    self.learningRate = learningRate
    self.momentum = momentum
    self.nesterov = nesterov
    self.weightDecay = weightDecay
    self.clipNorm = clipNorm
  }

  /// The largest group whose keys the update rule commutes with: momentum and decay are linear, Muon's polynomial is
  /// odd in the singular values; Adam divides coordinate by coordinate, which a sign flip passes and a rotation does not.
  package var largestGroup: SymmetryGroup {
    switch kind {
    case .sgd, .muon: .orthogonal
    case .adamw: .signedPermutation
    }
  }
}
