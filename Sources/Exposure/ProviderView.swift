package import Architecture
package import Tensors

/// What a job's trainer holds of it after some steps: all that an attack of the provider may look at.
package struct ProviderView: Sendable {
  /// The rows that arrive, `[n, w]`: one a sample, or the tokens of one sample after the other, in the order of `truth`.
  package let inputs: Tensor<Float>
  /// Tokens of each sample; nil where a sample is one row.
  package let lengths: [Int32]?
  /// Which keys each space has: no secret, the protocol says it.
  package let groups: [SpaceID: SymmetryGroup]
  /// The space that `inputs` live in.
  package let input: SpaceID
  /// In the model's order, as both lists of weights.
  package let parameters: [ParameterSpecification]
  package let initialWeights: [Tensor<Float>]
  package let finalWeights: [Tensor<Float>]
  /// Of each sample (or token, where each has a target) when it was first trained on, `[m, outputs]`.
  package let outputs: Tensor<Float>
  /// What came back for `outputs`, row by row.
  package let targets: ProviderTargets

  package init(
    inputs: Tensor<Float>, lengths: [Int32]?, groups: [SpaceID: SymmetryGroup], input: SpaceID,
    parameters: [ParameterSpecification], initialWeights: [Tensor<Float>], finalWeights: [Tensor<Float>],
    outputs: Tensor<Float>, targets: ProviderTargets
  ) {
    self.inputs = inputs
    self.lengths = lengths
    self.groups = groups
    self.input = input
    self.parameters = parameters
    self.initialWeights = initialWeights
    self.finalWeights = finalWeights
    self.outputs = outputs
    self.targets = targets
  }

  package var inputGroup: SymmetryGroup { groups[input] ?? .trivial }

  /// The same, of a job that is said to have these keys.
  func assuming(_ groups: [SpaceID: SymmetryGroup]) -> ProviderView {
    ProviderView(
      inputs: inputs, lengths: lengths, groups: groups, input: input, parameters: parameters,
      initialWeights: initialWeights, finalWeights: finalWeights, outputs: outputs, targets: targets)
  }
}
