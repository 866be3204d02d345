import Models
import Datasets
import Foundations
import JobSpec
import Masking
import Numerics
import Training
import Protocol

/// Training with the loss at the trainer: rows, masked labels and the batch plan are uploaded once, and then the trainer works alone. The
/// owner may leave; while it stays it follows the history.
struct TrainerLossTraining<Element: FloatingElement> {
  private static var window: Int { 4 }

  let context: RunContext<Element>
  private var description: JobDescription { context.prepared.description }

  init(_ context: RunContext<Element>) {
    self.context = context
  }

  /// Uploads whatever is missing and starts the job.
  func upload(storedRows: Int, storedSteps: Int) throws {
    context.observe(.began("uploading masked rows"))
    try inChunks(of: context.samples.samplesPerChunk, from: storedRows, to: description.totalRows) { range in
      let (message, addedBytes) = try context.measureReading { try context.samples.uploadMessage(range) }
      context.countAddedBytes(addedBytes)
      return message
    }
    context.observe(.began("uploading masked labels"))
    var labels = 0
    try inChunks(of: samplesPerLabelChunk, from: 0, to: description.totalRows) { range in
      let targets = try context.measureMasking { () throws -> MaskedTargets<Element> in
        switch try context.samples.targets(of: range.map { Int32($0) }[...], pass: 0) {
        case .classes(let ids): .classes(Tensor(try context.keys.maskClasses(ids), shape: [ids.count]))
        case .values(let values): .values(try context.keys.maskTargets(values))
        case .times: throw OwnerError.unfitJob("task: survival needs loss.where: owner")
        }
      }
      defer { labels += targets.count }
      return .storeTargets(firstSlot: labels, targets: targets)
    }
    try uploadPlan(from: storedSteps)
    try start()
  }

  /// Samples whose labels are at most 2^18 numbers, one per token where each token has one.
  private var samplesPerLabelChunk: Int {
    let numbers =
      switch context.prepared.job.task {
      case .classification, .survival: 1
      case .multilabel, .regression: context.prepared.shape.data.outputs
      case .tokenClassification, .causalLanguageModel: context.prepared.shape.data.maximumTokens ?? 1
      }
    return max(1, (1 << 18) / max(1, numbers))
  }

  /// Queues the job once all of its data is there.
  func start() throws {
    try context.connection.send(.start)
    try awaitStatus { $0 != .uploading }
  }

  private func uploadPlan(from storedSteps: Int) throws {
    context.observe(.began("uploading the batch plan"))
    let plan = context.prepared.plan
    for epoch in (storedSteps / plan.stepsPerEpoch)..<plan.epochs {
      let order = plan.order(epoch: epoch)
      let first = max(storedSteps, epoch * plan.stepsPerEpoch)
      try inChunks(of: max(1, (1 << 18) / plan.batch), from: first, to: (epoch + 1) * plan.stepsPerEpoch) { range in
        var slots = Tensor<Int32>(repeating: -1, shape: [range.count, plan.batch])
        for step in range {
          for (column, position) in plan.range(ofBatch: step % plan.stepsPerEpoch).enumerated() {
            slots[step - range.lowerBound, column] = order[position]
          }
        }
        return .storePlan(firstStep: range.lowerBound, slots: slots)
      }
    }
  }

  private func inChunks(
    of size: Int, from first: Int, to end: Int, _ message: (Range<Int>) throws -> OwnerMessage<Element>
  ) throws {
    var unanswered = 0
    for start in stride(from: first, to: end, by: size) {
      let range = start..<min(end, start + size)
      while unanswered >= Self.window {
        try awaitStored()
        unanswered -= 1
      }
      if context.isInterrupted { try context.leave() }
      try context.connection.send(try message(range))
      unanswered += 1
      context.observe(.advanced(done: range.upperBound, total: end))
    }
    for _ in 0..<unanswered { try awaitStored() }
  }

  private func awaitStored() throws {
    try context.connection.waitFor { message in
      if case .stored = message { return true }
      return nil as Bool?
    }
  }

  private func awaitStatus(_ accept: (JobState) -> Bool) throws {
    try context.connection.waitFor { message in
      if case .status(let status) = message, accept(status.state) { return true }
      return nil as Bool?
    }
  }

  /// Records the history as the trainer makes it, until the job is finished.
  ///
  /// - Throws: as `OwnerLossTraining.run`.
  func follow() throws {
    var asked = context.history.records.count
    try context.connection.send(.follow(from: asked))
    context.observe(
      .trainingStarts(step: context.history.steps, totalSteps: description.totalSteps))
    while true {
      if context.isInterrupted { try context.leave() }
      switch try context.nextMessage() {
      case .progress(let from, let records): try append(records, from: from)
      case .finished:
        // Asked once more: of a long history only a part may have come.
        asked = context.history.records.count
        try context.connection.send(.follow(from: asked))
      case .status(let status):
        if context.history.records.count - asked >= ProgressRecord.maxPerAnswer {
          asked = context.history.records.count
          try context.connection.send(.follow(from: asked))
          continue
        }
        if status.state == .finished {
          // At the end, so that a history has the same lines however often the owner went away.
          try context.note(status.kernels)
          return try context.syncHistory()
        }
        if status.state == .failed {
          throw OwnerError.refused(kind: .refused, reason: status.failure ?? "the job failed")
        }
      case .queued(let position): context.observe(.queued(position: position))
      default: break
      }
    }
  }

  private func append(_ records: [ProgressRecord], from: Int) throws {
    let known = context.history.records.count
    // After a crash the trainer repeats what this history already has; the values are the same.
    guard from <= known else { throw OwnerError.protocolViolation("a gap in the history it sends") }
    for record in records.dropFirst(known - from) {
      var rows = 0
      if case .step(let step, _, _, _, _) = record {
        rows = context.prepared.plan.range(ofBatch: step % description.stepsPerEpoch).count
      }
      try context.record(record, rows: rows)
    }
  }
}
