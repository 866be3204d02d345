package import Foundations
package import Numerics

/// What a trainer sends to an owner. All numbers in it are masked.
package enum TrainerMessage<Element: FloatingElement>: Sendable, Equatable {
  case welcome(TrainerGreeting)
  /// The job is known; `missingParameters` says whether its starting weights are still due, `storedRows` and
  /// `storedSteps` how much of its rows and plan is stored (loss at the trainer).
  case accepted(missingParameters: Bool, storedRows: Int, storedSteps: Int)
  /// `kind` is the exit code it leads to.
  case refused(kind: FailureKind, reason: String)
  /// The job waits behind `position` others.
  case queued(position: Int)
  /// Training goes on at `step`; rows with slots below `residentRows` are kept once sent; at most `window` micro-batches
  /// may be unanswered.
  case attached(step: Int, residentRows: Int, window: Int)
  case outputs(step: Int, part: Int, values: Tensor<Element>)
  case stepApplied(step: Int, gradientNorm: Double, learningRate: Double)
  case evaluated(epoch: Int, part: Int, values: Tensor<Element>)
  /// A checkpoint after `step` steps is durable.
  case checkpointed(step: Int)
  /// Rows or plan up to `count` (exclusive) are received.
  case stored(count: Int)
  /// History of a job whose loss the trainer computes, from record `from` on.
  case progress(from: Int, records: [ProgressRecord])
  /// Chunk number `chunk` of the resulting weights.
  case parameters(chunk: Int, values: Tensor<Element>)
  /// All steps are done and the resulting weights are durable.
  case finished
  case status(JobStatus)
  /// The job is removed, by `cancel` or `release`.
  case removed
  /// The trainer stops; the job is saved after `step` steps.
  case goodbye(step: Int, reason: GoodbyeReason = .stopping)
  case pong

  private var code: UInt8 {
    switch self {
    case .welcome: 101
    case .accepted: 102
    case .refused: 103
    case .queued: 104
    case .attached: 105
    case .outputs: 106
    case .stepApplied: 107
    case .evaluated: 108
    case .checkpointed: 109
    case .stored: 110
    case .progress: 111
    case .parameters: 112
    case .status: 113
    case .removed: 114
    case .goodbye: 115
    case .pong: 116
    case .finished: 117
    }
  }

  /// The messages are the same in all versions.
  func envelope(for job: JobID, version: WireVersion) -> Envelope {
    var envelope = Envelope(version: version, kind: code, job: job)
    switch self {
    case .welcome(let greeting): envelope.writeJSON(greeting)
    case .accepted(let missing, let rows, let steps): envelope.write(missing ? 1 : 0, rows, steps)
    case .refused(let kind, let reason):
      envelope.write(Int(kind.rawValue))
      envelope.fields.write(text: reason.printable(limit: WireLimits.reasonLength))
    case .queued(let position): envelope.write(position)
    case .attached(let step, let residentRows, let window): envelope.write(step, residentRows, window)
    case .outputs(let step, let part, let values), .evaluated(let step, let part, let values):
      envelope.write(step, part)
      envelope.attach(values)
    case .stepApplied(let step, let gradientNorm, let learningRate):
      envelope.write(step)
      envelope.fields.write(gradientNorm)
      envelope.fields.write(learningRate)
    case .checkpointed(let step): envelope.write(step)
    case .goodbye(let step, let reason): envelope.write(step, reason.rawValue)
    case .stored(let count): envelope.write(count)
    case .progress(let from, let records):
      envelope.write(from)
      envelope.writeJSON(records)
    case .parameters(let chunk, let values):
      envelope.write(chunk)
      envelope.attach(values)
    case .status(let status): envelope.writeJSON(status)
    case .removed, .pong, .finished: break
    }
    return envelope
  }

  init(from envelope: inout OpenedEnvelope) throws(WireError) {
    switch envelope.kind {
    case 101: self = .welcome(try envelope.readJSON("greeting", of: TrainerGreeting.self).printable)
    case 102:
      self = .accepted(
        missingParameters: try envelope.fields.readIndex() != 0, storedRows: try envelope.fields.readIndex(),
        storedSteps: try envelope.fields.readIndex())
    case 103:
      let code = try envelope.fields.readIndex()
      guard let kind = Int32(exactly: code).flatMap(FailureKind.init(rawValue:)) else {
        throw .malformed("an unknown failure code")
      }
      self = .refused(kind: kind, reason: try envelope.fields.readText(limit: WireLimits.reasonLength))
    case 104: self = .queued(position: try envelope.fields.readIndex())
    case 105:
      self = .attached(
        step: try envelope.fields.readIndex(), residentRows: try envelope.fields.readIndex(),
        window: try envelope.fields.readIndex())
    case 106:
      self = .outputs(
        step: try envelope.fields.readIndex(), part: try envelope.fields.readIndex(),
        values: try envelope.takeTensor("outputs", rank: 2...2))
    case 107:
      self = .stepApplied(
        step: try envelope.fields.readIndex(), gradientNorm: try envelope.fields.readDouble(),
        learningRate: try envelope.fields.readDouble())
    case 108:
      self = .evaluated(
        epoch: try envelope.fields.readIndex(), part: try envelope.fields.readIndex(),
        values: try envelope.takeTensor("outputs", rank: 2...2))
    case 109: self = .checkpointed(step: try envelope.fields.readIndex())
    case 110: self = .stored(count: try envelope.fields.readIndex())
    case 111:
      let from = try envelope.fields.readIndex()
      self = .progress(
        from: from, records: try envelope.readJSON("history", of: [ProgressRecord].self).map(\.printable))
    case 112:
      self = .parameters(
        chunk: try envelope.fields.readIndex(), values: try envelope.takeTensor("weights", rank: 1...2))
    case 113: self = .status(try envelope.readJSON("status", of: JobStatus.self).printable)
    case 114: self = .removed
    case 115:
      let step = try envelope.fields.readIndex()
      guard let reason = GoodbyeReason(rawValue: try envelope.fields.readIndex()) else {
        throw .malformed("an unknown reason to stop")
      }
      self = .goodbye(step: step, reason: reason)
    case 116: self = .pong
    case 117: self = .finished
    default: throw .malformed("an unknown kind of message")
    }
    try envelope.finish()
  }
}

/// How a trainer introduces itself.
package struct TrainerGreeting: Sendable, Equatable, Codable {
  package var software: String
  /// OpenBLAS' kernel in use, for the owner's log.
  package var kernel: String
  package var threads: Int
  /// Bytes of memory a job may take.
  package var memoryLimit: Int

  package init(software: String, kernel: String, threads: Int, memoryLimit: Int) {
    self.software = software
    self.kernel = kernel
    self.threads = threads
    self.memoryLimit = memoryLimit
  }

  /// The greeting with its texts as they may be shown.
  var printable: TrainerGreeting {
    TrainerGreeting(
      software: software.printable(limit: WireLimits.nameLength),
      kernel: kernel.printable(limit: WireLimits.nameLength),
      threads: threads, memoryLimit: memoryLimit)
  }
}

/// Why a trainer ends.
package enum GoodbyeReason: Int, Sendable {
  case stopping = 0
  /// The machine is wanted for something else; the trainer is started again by itself.
  case preempted = 1

  package var text: String {
    switch self {
    case .stopping: "the trainer stops"
    case .preempted: "the trainer is pre-empted and comes back by itself"
    }
  }
}
