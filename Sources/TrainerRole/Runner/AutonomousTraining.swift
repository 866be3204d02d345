import Models
import Files
import Collectives
import Foundations
import Foundation
import Numerics
import Training
import Protocol
import Service

/// Training whose loss the trainer computes on masked labels: needs no owner until the weights are retrieved. It reads the
/// uploaded rows, labels and batch plan, and hands them to the replicas.
///
/// Metrics are computed on masked outputs and labels; they are the plaintext ones, because accuracy and F1 do not change when classes are
/// renamed, nor mean ROC-AUC when tasks are, nor RMSE and pooled R² under a rotation.
struct AutonomousTraining<Element: FloatingElement> {
  /// Ends what is under way.
  private struct Interrupted: Error {
    let reason: StopReason?
  }

  /// A step that replicas are at.
  private struct Step {
    let rows: Int
    let tokens: Int
    let normalizer: Double
    let parts: Int
    /// By part; in the end added in their order.
    var losses: [Int: Double] = [:]
    var report: StepReport?

    var isComplete: Bool { report != nil && losses.count == parts }
    var loss: Double { (0..<parts).reduce(0.0) { $0 + (losses[$1] ?? 0) } / normalizer }
  }

  /// Parts of an evaluation that replicas have at once: each one to work on and one that waits.
  private var evaluationsAtOnce: Int { common.replicas.isImmediate ? 1 : 2 * common.replicas.size }

  private var common: Coordination<Element>
  private let data: UploadedData<Element>
  private let task: LearningTask
  private let loss: LossFunction
  private let history: LineLog
  private var records: Int
  private var underWay: [Int: Step] = [:]
  private var nextStep: Int
  private var inferred: [Int: Tensor<Element>] = [:]
  private var progress: ProgressMeter
  private let clock = ContinuousClock()

  init(_ common: Coordination<Element>, data: UploadedData<Element>, task: LearningTask) throws {
    self.common = common
    self.data = data
    self.task = task
    loss = LossFunction(task: task)
    nextStep = common.step
    progress = ProgressMeter(
      job: common.job.id, totalSteps: common.description.totalSteps, metrics: common.configuration.metrics)
    (history, records) = try RecordLog.open(in: common.folder, beforeStep: common.step)
  }

  private var description: JobDescription { common.description }

  mutating func run() throws -> RunnerOutcome {
    do {
      try train()
      return .finished(steps: common.step)
    } catch let interruption as Interrupted {
      let isComplete = try settle()
      if case .cancelled = interruption.reason { return .cancelled }
      // A checkpoint beyond the history would be of no use: the one before it is.
      if isComplete { try common.save() }
      if common.lostRank == nil, let reason = interruption.reason { return reason.outcome(step: common.step) }
      return .paused(step: common.step, reason: common.lostRank?.description ?? "the trainer stops")
    } catch {
      _ = common.settle()
      throw error
    }
  }

  /// Gives up what is under way, and records a step that was taken meanwhile.
  ///
  /// - Returns: whether the history reaches rank 0's state; a rank that is gone may have taken a loss with it.
  private mutating func settle() throws -> Bool {
    let recorded = common.step
    let answers = common.settle()
    let reached = common.step
    common.step = recorded
    for (rank, answer) in answers { try note(answer, rank: rank) }
    var lastStep = clock.now
    while underWay[common.step]?.isComplete == true { try recordStep(since: &lastStep) }
    try history.sync()
    return common.step == reached
  }

  private mutating func train() throws {
    var lastStep = clock.now
    // A checkpoint at an epoch's end was written before its evaluation.
    if common.step > 0, common.step % description.stepsPerEpoch == 0 { try evaluate() }
    while common.step < description.totalSteps {
      if let reason = common.inbox.stopRequested, !reason.awaitsStep { throw Interrupted(reason: reason) }
      try handOut()
      while underWay[common.step]?.isComplete != true { try handleNext() }
      try recordStep(since: &lastStep)
      let done = common.step
      if isBoundary(done) {
        try history.sync()
        try common.save()
        try common.replicas.order(.commit(step: done, exactly: true))
      }
      // Every turn takes a step at least, and an evaluation that is begun is not done in vain.
      if common.inbox.isTurnOver, done < description.totalSteps { throw Interrupted(reason: .turnOver) }
      if done % description.stepsPerEpoch == 0 { try evaluate() }
    }
    try history.sync()
    try common.save()
  }

  /// Whether a checkpoint is due after `done` steps: the history reaches it first.
  private func isBoundary(_ done: Int) -> Bool {
    done % description.stepsPerEpoch == 0 || done % description.checkpointEverySteps == 0
  }

  /// The present step, and the next so that replicas go on with it at once, unless a checkpoint is due in between.
  private mutating func handOut() throws {
    while nextStep < description.totalSteps,
      nextStep == common.step
        || (!common.replicas.isImmediate && nextStep == common.step + 1 && !isBoundary(nextStep))
    {
      try handOut(nextStep)
      nextStep += 1
    }
  }

  private mutating func handOut(_ step: Int) throws {
    let slots = try data.batch(step: step)
    let targets = try data.targets(slots)
    let normalizer = Double(max(1, targets.observedCount))
    let parts = stride(from: 0, to: slots.count, by: description.microBatch).map {
      Array(slots[$0..<min(slots.count, $0 + description.microBatch)])
    }
    let extents = parts.map(extent)
    let assignment = PartAssignment(costs: extents.map(\.rows), replicas: common.replicas.size)
    try common.begin(step: step, assignment)
    underWay[step] = Step(
      rows: slots.count, tokens: extents.reduce(0) { $0 + ($1.sequences?.tokens ?? 0) }, normalizer: normalizer,
      parts: parts.count)
    var answered = 0
    for (part, (slots, extent)) in zip(parts, extents).enumerated() {
      let outputs = task.isPerToken ? extent.rows : slots.count
      try common.replicas.train(
        part: part, extent, targets[answered..<answered + outputs], normalizer: normalizer, on: assignment.ranks[part]
      ) {
        try data.gather(slots, into: $0)
      }
      answered += outputs
    }
  }

  private func extent(of slots: [Int]) -> PartExtent {
    PartExtent(samples: slots.count, sequences: data.layout(of: slots))
  }

  /// - Throws: `Interrupted` when the job is to stop or a rank is gone; `ServiceError` when a replica failed.
  private mutating func handleNext() throws {
    guard common.lostRank == nil else { throw Interrupted(reason: nil) }
    switch common.inbox.nextEvent(includingItems: true) {
    case .item(.stop(let reason)): throw Interrupted(reason: reason)
    case .lost(let error):
      common.noteLostRank(error)
      throw Interrupted(reason: nil)
    case .answer(let rank, let answer): try note(answer, rank: rank)
    case .item: break
    }
  }

  private mutating func note(_ answer: ReplicaAnswer<Element>, rank: Int) throws {
    switch answer {
    case .failed(let kind, let text): throw ServiceError(kind, text)
    case .trained(let step, let part, let lossSum): underWay[step]?.losses[part] = lossSum
    case .applied(let report, let waited):
      // It counts once its losses are here, too.
      if rank == 0 { underWay[report.step]?.report = report }
      common.count(report, waited: waited)
    case .inferred(let number, let values): inferred[number] = values
    case .outputs, .abandoned, .saved, .ended: break
    }
  }

  private mutating func recordStep(since lastStep: inout ContinuousClock.Instant) throws {
    guard let step = underWay.removeValue(forKey: common.step), let report = step.report else { return }
    let now = clock.now
    try record(
      .step(
        step: report.step, loss: step.loss, learningRate: report.learningRate, gradientNorm: report.gradientNorm,
        seconds: lastStep.duration(to: now) / .seconds(1)))
    lastStep = now
    common.step = report.step + 1
    progress.count(rows: step.rows, tokens: step.tokens, step: common.step, report: common.report)
  }

  private mutating func record(_ record: ProgressRecord) throws {
    try RecordLog.append(record, to: history)
    common.send(.progress(from: records, records: [record]))
    records += 1
  }

  // MARK: - Evaluation

  private mutating func evaluate() throws {
    guard description.validationRows > 0 else { return }
    let start = clock.now
    let epoch = common.step / description.stepsPerEpoch - 1
    var metrics = MetricAccumulator(task: task)
    var (lossSum, observed) = (0.0, 0)
    let parts = stride(from: description.trainingRows, to: description.totalRows, by: description.microBatch).map {
      Array($0..<min(description.totalRows, $0 + description.microBatch))
    }
    inferred = [:]
    var sent = 0
    for (number, slots) in parts.enumerated() {
      while sent < parts.count, sent < number + evaluationsAtOnce {
        let next = parts[sent]
        try common.replicas.infer(sent, extent(of: next), on: sent % common.replicas.size) {
          try data.gather(next, into: $0)
        }
        sent += 1
      }
      while inferred[number] == nil { try handleNext() }
      guard let outputs = inferred.removeValue(forKey: number) else { continue }
      let targets = try data.targets(slots)
      lossSum += try loss.evaluate(outputs: outputs, targets: targets, normalizer: 1).lossSum
      observed += targets.observedCount
      try metrics.add(outputs: outputs, targets: targets)
    }
    let result = metrics.result()
    let isBest = BestEpoch.isBest(result.primary, epoch: epoch, than: common.best)
    if description.keep == .best, isBest {
      common.best = (epoch, result.primary.value)
      try common.replicas.order(.keep(epoch: epoch, metric: result.primary.value))
    }
    try record(
      .evaluation(
        epoch: epoch, step: common.step, loss: lossSum / Double(max(1, observed)), metrics: result.valuesByName,
        kept: isBest, seconds: start.duration(to: clock.now) / .seconds(1)))
  }
}
