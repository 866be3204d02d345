import Models
import Numerics
import TestSupport

@testable import LeakAudit

/// What a host has of questions, without a model.
enum QuestionScene {
  private static func traits(_ task: LearningTask) -> JobTraits {
    var traits = JobTraits.sample()
    traits.task = task
    return traits
  }

  /// Distances under a rotation are those of the plaintext, which stands here for what is masked.
  static func evidence(
    _ rows: Tensor<Float>, lengths: [Int32]? = nil, deployment: DeploymentView, truth: DeploymentTruth,
    task: LearningTask = .classification
  ) -> Evidence {
    let view = ProviderView(
      inputs: rows, lengths: lengths, groups: [SpaceID("input"): .orthogonal], input: SpaceID("input"), parameters: [],
      initialWeights: [], finalWeights: [], outputs: Tensor(zeros: [0, 1]), targets: .gradients(Tensor(zeros: [0, 1])),
      deployment: deployment)
    let truth = OwnerTruth(
      rows: rows, tokens: nil, positions: nil, labels: .classes([]), inputKey: SyntheticView.identity(rows.columns),
      deployment: truth)
    return Evidence(
      masked: view, control: view, truth: truth, controlTruth: truth,
      knowledge: PublicKnowledge(sampleRows: rows, sampleTexts: nil, baseWeights: nil, vocabulary: nil),
      traits: traits(task), shadows: nil)
  }
}
