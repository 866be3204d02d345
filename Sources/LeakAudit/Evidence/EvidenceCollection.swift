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
  /// The tables as anybody with the checkpoint has them.
  var vocabulary: TokenVocabulary {
    TokenVocabulary(
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

/// What an audit of a job takes of memory, from its sizes alone: more than intended is refused before the first row is read.
struct AuditMemory {
  /// Bytes.
  private static let maxBytes = 4.0 * 1_073_741_824
  /// Copies in double precision of outputs that label inference has at once: outputs and gradients behind a rotation, their directions,
  /// alone and side by side, and what clusters and fits are worked out in; of others the gradients.
  private static let copiesBehindRotation = 11.0

  /// Bytes, in all.
  let estimate: Double
  private let width: Int
  private let weights: Double

  /// - Parameter rows: of a view at most, where a sample is no longer than that.
  init(_ prepared: PreparedJob, rows: Int) {
    let (shape, plan) = (prepared.shape, prepared.plan)
    width = shape.inputWidth
    weights = shape.structure.parameters.reduce(0.0) { $0 + $1.shape.reduce(1.0) { $0 * Double($1) } }
    let samples = Double(plan.totalRows)
    // A sample is one row, or as many as it has tokens; one sample is looked at in any case.
    let rowsOfSample = Double(shape.data.maximumTokens ?? 1)
    let seen = min(max(Double(rows), rowsOfSample), samples * rowsOfSample)
    let columns = Double(width)
    // Of w × w: the key of the view and of the control in double precision while one more is worked out from its images of the unit vectors
    // (single and double); attacks then have as many in covariances and their eigenvectors.
    let squares = 40 * columns * columns
    // Of rows: two views and their plaintext in single precision, and three copies in double precision in an attack.
    let views = 40 * seen * columns
    // Of targets: outputs and gradients in both views in single precision, and what label inference makes of one of them.
    let targets = prepared.job.task.isPerToken ? seen : min(seen, samples)
    let isRotated =
      prepared.job.lossLocation == .owner && shape.keyPlan.output.group == .orthogonal && shape.data.outputs > 1
    let copies = isRotated ? Self.copiesBehindRotation : 1
    let outputs = (4 * 4 + copies * 8) * targets * Double(shape.data.outputs)
    // Of weights: before and after in both views, and the checkpoint's where there is one; and an engine, which has its own.
    let models = (shape.pretrained == nil ? 16 : 20) * weights
    let engine =
      TrainingEngine<Float>.memoryEstimate(
        Model(shape.graph), optimizer: prepared.job.optimizer, batchRows: plan.batch,
        partRows: prepared.job.train.microBatch
      ).map { Double($0) } ?? .infinity
    estimate = squares + views + outputs + models + engine
  }

  /// - Throws: `OwnerError.tooLarge`.
  func check() throws {
    guard estimate > Self.maxBytes else { return }
    let size = estimate / 1_073_741_824
    let amount = size < 1e6 ? "about \(Int(size.rounded(.up)))" : "more than a million"
    throw OwnerError.tooLarge(
      "an audit of this job would take \(amount) GB of memory, and the limit is 4 GB: rows are \(width) wide as they are sent, and the "
        + "model has \(Int(weights)) weights; audit a job on fewer columns, shorter samples or smaller micro-batches, or with a smaller model"
    )
  }
}
