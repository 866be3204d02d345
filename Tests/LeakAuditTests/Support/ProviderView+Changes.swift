import LeakAudit
import Numerics

extension ProviderView {
  /// Only these of the parameters.
  func with(parameters kept: [Int]) -> ProviderView {
    ProviderView(
      inputs: inputs, lengths: lengths, groups: groups, input: input, parameters: kept.map { parameters[$0] },
      initialWeights: kept.map { initialWeights[$0] }, finalWeights: kept.map { finalWeights[$0] }, outputs: outputs,
      targets: targets)
  }

  func with(initialWeights: [Tensor<Float>]) -> ProviderView {
    ProviderView(
      inputs: inputs, lengths: lengths, groups: groups, input: input, parameters: parameters,
      initialWeights: initialWeights, finalWeights: finalWeights, outputs: outputs, targets: targets)
  }
}
