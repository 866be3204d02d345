package import Architecture

/// What the loss allows on the output space, by who computes it.
package enum LossRules {
  /// - Parameter labelsMissing: some entry of the label matrix is NaN; the trainer must then know which output an
  ///   observed label belongs to, so outputs may be reordered and not mixed.
  package static func constraint(
    on output: SpaceID, task: LearningTask, location: LossLocation, labelsMissing: Bool
  ) -> SpaceConstraint {
    let (largest, reason): (SymmetryGroup, String) =
      switch (location, task) {
      case (.owner, _): (.orthogonal, "loss at the owner")
      case (.trainer, .classification), (.trainer, .tokenClassification), (.trainer, .causalLanguageModel):
        (.permutation, "softmax cross-entropy at the trainer")
      case (.trainer, .multilabel): (.permutation, "binary cross-entropy at the trainer")
      case (.trainer, .regression) where labelsMissing:
        (.permutation, "squared error with missing labels at the trainer")
      case (.trainer, .regression): (.orthogonal, "squared error at the trainer")
      }
    return SpaceConstraint(space: output, largest: largest, reason: reason)
  }
}
