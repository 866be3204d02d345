import Families
import JobSpec
import Masking
import Models
package import Numerics
package import OwnerRole
import Training

/// Gathers what an audit works on: masks some of a job's samples with throw-away keys exactly as the job would, trains on them for an epoch
/// of their own, and does the same with nothing masked and no noise, the tokens of a sample in the same order.
package struct EvidenceCollection {
  /// Rows that a view has at most: enough for every attack, and for the largest matrices to stay below a few hundred MB.
  private static let maxRows = 4096
  private static let maxTokens = 16_384
  /// Elements of outputs at most, which for a language model are a vocabulary wide.
  private static let maxOutputs = 1 << 25

  private let prepared: PreparedJob
  private let compute: Compute

  package init(prepared: PreparedJob, compute: Compute) {
    self.prepared = prepared
    self.compute = compute
  }

  /// - Parameters:
  ///   - end: when to be done: the runs see fewer rows where they would take longer, and the cost of the noise is left out; nil for no limit.
  ///   - progress: steps done and steps in all.
  /// - Throws: `DatasetError`, `FileError`, `OwnerError.diverged`.
  package func collect(
    until end: ContinuousClock.Instant? = nil, progress: (Int, Int) -> Void
  ) throws -> Evidence {
    try AuditMemory(prepared, rows: rowLimit).check()
    let source = try VerificationSource<Float>(prepared, compute: compute)
    let slots = AuditedSlots(
      prepared.plan, rowsOfSample: prepared.shape.data.maximumTokens ?? 1, limit: rowLimit)
    // The control sees what the masked run saw, which takes as long: half of the time for each.
    let now = ContinuousClock().now
    let master = MasterKey()
    let masked = try ObservedRun(
      prepared, plan: prepared.shape.keyPlan, source: source, master: master, slots: slots.view,
      until: end.map { now + now.duration(to: $0) / 2 }, compute: compute
    ) { progress($0, 2 * $1) }
    let control = try ObservedRun(
      prepared, plan: try prepared.identityPlan(), source: source.withoutNoise, master: master, slots: masked.slots,
      compute: compute
    ) { progress($1 + $0, 2 * $1) }
    let noise = try NoiseComparison(prepared, source: source, compute: compute).cost(until: end)
    let shadows = try MembershipShadows.of(prepared, source: source, compute: compute)
    return Evidence(
      masked: masked.view, control: control.view, truth: masked.truth, controlTruth: control.truth,
      knowledge: try knowledge(source, slots), traits: prepared.traits,
      shadows: shadows.shadows, shadowsMissing: shadows.missing, noiseCost: noise.cost, noiseCostMissing: noise.missing,
      isCutShort: masked.slots.count < slots.view.count)
  }

  private var rowLimit: Int {
    guard prepared.shape.data.maximumTokens != nil else { return Self.maxRows }
    guard prepared.job.task.isPerToken else { return Self.maxTokens }
    return max(1, min(Self.maxTokens, Self.maxOutputs / max(1, prepared.shape.data.outputs)))
  }

  private func knowledge(_ source: VerificationSource<Float>, _ slots: AuditedSlots) throws -> PublicKnowledge {
    let sample = try source.plaintext(of: slots.publicSample, master: MasterKey())
    var weights: [Tensor<Float>]?
    // As the owner states: a provider without the checkpoint has neither its weights nor its vectors.
    let isPublic = prepared.job.masking.baseModel != .private
    if prepared.shape.pretrained != nil, isPublic {
      let initial = prepared.shape.startingWeights(secret: prepared.secret)
      weights = try prepared.shape.structure.parameters.map { specification -> Tensor<Float> in
        specification.origin == .pretrained ? try initial.tensor(specification) : Tensor(zeros: specification.shape)
      }
    }
    return PublicKnowledge(
      sampleRows: sample.rows, sampleTexts: try source.texts(of: slots.publicSample), baseWeights: weights,
      vocabulary: isPublic ? source.embedding?.vocabulary : nil)
  }
}

extension TokenEmbedding<Float> {
  /// The tables as anybody with the checkpoint has them. Behind a projection, each word's vector where it stands first, as one that nothing is
  /// added to: attacks by words find less of such a model than they could.
  var vocabulary: TokenVocabulary {
    if projection != nil {
      let tokens = (0..<words.rows).map { Token(id: Int32(truncatingIfNeeded: $0), position: 0) }
      return TokenVocabulary(
        words: vectors(tokens, workers: Workers(threads: 1)), positions: nil, types: nil, gain: nil, shift: nil)
    }
    return TokenVocabulary(
      words: words, positions: positions, types: types, gain: norm?.gain, shift: norm?.shift)
  }
}

/// Which samples of a job an audit looks at: some that are trained on, and others of the same kind that the public might have.
struct AuditedSlots {
  /// In the order the job trains on them; whole batches where there are enough.
  let view: ArraySlice<Int32>
  /// None of them in `view`.
  let publicSample: [Int32]

  /// - Parameters:
  ///   - rowsOfSample: how many rows the provider gets of a sample at most: tokens of the longest one, or 1.
  ///   - limit: rows of the view at most.
  init(_ plan: TrainingPlan, rowsOfSample: Int, limit: Int) {
    let order = plan.order(epoch: 0)
    // A quarter of all samples at least stays out of sight.
    let maxRows = min(order.count, max(1, limit / max(1, rowsOfSample)), max(1, plan.totalRows * 3 / 4))
    let whole = maxRows >= plan.batch ? maxRows / plan.batch * plan.batch : maxRows
    view = order[..<whole]
    let unseen = order[whole...] + plan.validationSlots.map { Int32($0) }
    publicSample = Array(unseen.prefix(max(1, limit / max(1, rowsOfSample))))
  }
}
