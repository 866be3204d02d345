import Models
import Files
import Foundation
import Numerics
import Training
import Protocol

/// Training whose loss the trainer computes on masked labels: needs no owner until the weights are retrieved.
///
/// Metrics are computed on masked outputs and labels; they are the plaintext ones, because accuracy and F1 do not change when classes are
/// renamed, nor mean ROC-AUC when tasks are, nor RMSE and pooled R² under a rotation.
struct AutonomousTraining<Element: FloatingElement> {
  private var context: RunnerContext<Element>
  private let inbox: Inbox<Element>
  private let data: UploadedData<Element>
  private let task: LearningTask
  private let loss: LossFunction
  private let history: LineLog
  private var records: Int
  private var progress: ProgressMeter
  private let clock = ContinuousClock()

  init(context: RunnerContext<Element>, inbox: Inbox<Element>) throws {
    guard let task = context.description.task else { throw TrainerError.refused("the job names no task") }
    self.context = context
    self.inbox = inbox
    self.task = task
    loss = LossFunction(task: task)
    var data = try UploadedData<Element>(
      description: context.description, width: context.engine.model.inputWidth,
      outputs: context.engine.model.outputWidth, folder: context.folder)
    try data.reopen()
    self.data = data
    (history, records) = try RecordLog.open(in: context.folder, beforeStep: context.engine.step)
    progress = ProgressMeter(
      job: context.job.id, totalSteps: context.description.totalSteps, metrics: context.configuration.metrics)
  }

  mutating func run() throws -> RunnerOutcome {
    let stepsPerEpoch = context.description.stepsPerEpoch
    var lastStep = clock.now
    // A checkpoint at an epoch's end was written before its evaluation.
    if context.engine.step > 0, context.engine.step % stepsPerEpoch == 0 { try evaluate() }
    while context.engine.step < context.description.totalSteps {
      if let reason = inbox.stopRequested {
        if case .cancelled = reason { return .cancelled }
        try context.saveCheckpoint()
        return .paused(step: context.engine.step, reason: reason.text)
      }
      try step(since: &lastStep)
      let done = context.engine.step
      if done % stepsPerEpoch == 0 || done % context.description.checkpointEverySteps == 0 {
        try history.sync()
        try context.saveCheckpoint()
        try context.removeCheckpoints(before: done)
      }
      if done % stepsPerEpoch == 0 { try evaluate() }
    }
    try history.sync()
    try context.saveCheckpoint()
    return .finished(steps: context.engine.step)
  }

  private mutating func step(since lastStep: inout ContinuousClock.Instant) throws {
    let step = context.engine.step
    let slots = try data.batch(step: step)
    let targets = try data.targets(slots)
    let normalizer = Double(max(1, targets.observedCount))
    try context.engine.beginBatch(rows: slots.count)
    var lossSum = 0.0
    var answered = 0
    var tokens = 0
    for first in stride(from: 0, to: slots.count, by: context.description.microBatch) {
      let range = first..<min(slots.count, first + context.description.microBatch)
      let partSlots = Array(slots[range])
      let layout = data.layout(of: partSlots)
      tokens += layout?.tokens ?? 0
      let outputs = try context.engine.forward(rows: range, sequences: layout) {
        try data.gather(partSlots, into: $0)
      }
      // As many as samples, or as their tokens.
      let part = try loss.evaluate(
        outputs: outputs, targets: targets[answered..<answered + outputs.rows], normalizer: normalizer)
      answered += outputs.rows
      lossSum += part.lossSum
      try context.engine.setOutputGradient(part.gradient, rows: range)
    }
    let applied = try context.engine.finishStep()
    let now = clock.now
    try record(
      .step(
        step: step, loss: lossSum / normalizer, learningRate: applied.learningRate,
        gradientNorm: applied.gradientNorm, seconds: lastStep.duration(to: now) / .seconds(1)))
    lastStep = now
    progress.count(rows: slots.count, tokens: tokens, step: context.engine.step, report: context.report)
  }

  private mutating func evaluate() throws {
    guard context.description.validationRows > 0 else { return }
    let start = clock.now
    let epoch = context.engine.step / context.description.stepsPerEpoch - 1
    var metrics = MetricAccumulator(task: task)
    var lossSum = 0.0
    var observed = 0
    let all = context.description.trainingRows..<context.description.totalRows
    for first in stride(from: all.lowerBound, to: all.upperBound, by: context.description.microBatch) {
      let slots = Array(first..<min(all.upperBound, first + context.description.microBatch))
      let targets = try data.targets(slots)
      let outputs = try context.engine.infer(rows: slots.count, sequences: data.layout(of: slots)) {
        try data.gather(slots, into: $0)
      }
      lossSum += try loss.evaluate(outputs: outputs, targets: targets, normalizer: 1).lossSum
      observed += targets.observedCount
      try metrics.add(outputs: outputs, targets: targets)
    }
    let result = metrics.result()
    let isBest = BestEpoch.isBest(
      result.primary, epoch: epoch, than: context.best.map { ($0.epoch, $0.metric) })
    if context.description.keep == .best, isBest {
      try context.keepPresentWeights(epoch: epoch, metric: result.primary.value)
    }
    try record(
      .evaluation(
        epoch: epoch, step: context.engine.step, loss: lossSum / Double(max(1, observed)), metrics: result.valuesByName,
        kept: isBest, seconds: start.duration(to: clock.now) / .seconds(1)))
  }

  private mutating func record(_ record: ProgressRecord) throws {
    try RecordLog.append(record, to: history)
    context.send(.progress(from: records, records: [record]))
    records += 1
  }
}
