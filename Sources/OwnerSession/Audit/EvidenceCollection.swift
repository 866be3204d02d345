import Architecture
package import Exposure
import JobSpec
import Masking
package import Tensors
import Training

/// Gathers what an audit works on: masks some of a job's samples with throw-away keys exactly as the job would, trains on them for an epoch
/// of their own, and does the same with nothing masked and no noise, the tokens of a sample in the same order.
package struct EvidenceCollection {
  /// Rows that a view has at most: enough for every attack, and for the largest matrices to stay below a few hundred MB.
  private static let mostRows = 4096
  private static let mostTokens = 16_384
  /// Elements of outputs at most, which for a language model are a vocabulary wide.
  private static let mostOutputs = 1 << 25

  private let prepared: PreparedJob
  private let workers: Workers

  package init(prepared: PreparedJob, workers: Workers) {
    self.prepared = prepared
    self.workers = workers
  }

  /// - Parameter progress: steps done and steps in all.
  /// - Throws: `DatasetError`, `CheckpointError`, `OwnerError.diverged`.
  package func collect(progress: (Int, Int) -> Void) throws -> Evidence {
    let source = try VerificationSource<Float>(prepared, workers: workers)
    let slots = AuditedSlots(
      prepared.plan, rowsOfSample: prepared.shape.data.maximumTokens ?? 1, limit: rowLimit)
    let master = MasterKey(for: JobIdentifier())
    func observe(_ plan: KeyPlan, _ source: VerificationSource<Float>, half: Int) throws -> ObservedRun {
      try ObservedRun(prepared, plan: plan, source: source, master: master, slots: slots.view, workers: workers) {
        progress(half * $1 + $0, 2 * $1)
      }
    }
    let masked = try observe(prepared.shape.keyPlan, source, half: 0)
    let control = try observe(try prepared.identityPlan(), source.withoutNoise, half: 1)
    return Evidence(
      masked: masked.view, control: control.view, truth: masked.truth, controlTruth: control.truth,
      knowledge: try knowledge(source, slots), traits: prepared.traits,
      shadows: try MembershipShadows(prepared, source: source, workers: workers),
      noiseCost: try NoiseComparison(prepared, source: source, workers: workers).cost())
  }

  private var rowLimit: Int {
    guard prepared.shape.data.maximumTokens != nil else { return Self.mostRows }
    guard prepared.job.task.isPerToken else { return Self.mostTokens }
    return max(1, min(Self.mostTokens, Self.mostOutputs / max(1, prepared.shape.data.outputs)))
  }

  private func knowledge(_ source: VerificationSource<Float>, _ slots: AuditedSlots) throws -> PublicKnowledge {
    let sample = try source.plaintext(of: slots.publicSample, master: MasterKey(for: JobIdentifier()))
    var weights: [Tensor<Float>]?
    // The owner's word: a provider without the checkpoint has neither its weights nor its vectors.
    let isPublic = prepared.job.masking.baseModel != .private
    if prepared.shape.pretrained != nil, isPublic {
      let initial = prepared.shape.startingWeights(secret: prepared.secret)
      weights = try prepared.shape.structure.parameters.map { specification -> Tensor<Float> in
        specification.origin == .pretrained ? try initial.tensor(specification) : Tensor(zeros: specification.shape)
      }
    }
    return PublicKnowledge(
      sampleRows: sample.rows, sampleTexts: try source.texts(of: slots.publicSample), baseWeights: weights,
      vocabulary: isPublic ? source.tokens?.embedding.vocabulary : nil)
  }
}

extension TokenEmbedding<Float> {
  /// The tables as anybody with the checkpoint has them.
  fileprivate var vocabulary: TokenVocabulary {
    TokenVocabulary(
      words: words, positions: positions, types: types, gain: norm?.gain, shift: norm?.shift)
  }
}
