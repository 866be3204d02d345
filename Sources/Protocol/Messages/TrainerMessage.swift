package import Foundations
package import Numerics

/// What a trainer sends to an owner. All numbers in it are masked.
package enum TrainerMessage<Element: FloatingElement>: WireMessage, Equatable {
  case welcome(TrainerGreeting)
  /// The job is known; `missingParameters` says whether its starting weights are still due, `storedRows` and
  /// `storedSteps` how much of its rows and plan is stored (loss at the trainer).
  case accepted(missingParameters: Bool, storedRows: Int, storedSteps: Int)
  /// `kind` is the exit code it leads to.
  case refused(kind: FailureKind, reason: String)
  /// The job waits behind `position` others.
  case queued(position: Int)
  /// Training goes on at `step`; rows with slots below `residentRows` are kept once sent; at most `window` micro-batches
  /// may be unanswered. `kernel` is what the job is multiplied with, on which its bits depend; empty from a trainer of before version 6.
  case attached(step: Int, residentRows: Int, window: Int, kernel: String = "")
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
  /// To owners and clients of deployments.
  case deployment(DeploymentAnswer<Element>)

  /// As every server says it; nil for what a trainer alone says.
  private var conversation: ConversationAnswer? {
    switch self {
    case .refused(let kind, let reason): .refused(kind: kind, reason: reason)
    case .queued(let position): .queued(position: position)
    case .status(let status): .status(status)
    case .removed: .removed
    case .goodbye(let step, let reason): .goodbye(step: step, reason: reason)
    case .pong: .pong
    case .finished: .finished
    default: nil
    }
  }

  package init(_ answer: ConversationAnswer) {
    switch answer {
    case .refused(let kind, let reason): self = .refused(kind: kind, reason: reason)
    case .queued(let position): self = .queued(position: position)
    case .status(let status): self = .status(status)
    case .removed: self = .removed
    case .goodbye(let step, let reason): self = .goodbye(step: step, reason: reason)
    case .pong: self = .pong
    case .finished: self = .finished
    }
  }

  private var code: UInt8 {
    switch self {
    case .welcome: 101
    case .accepted: 102
    case .refused: ConversationAnswer.Kind.refused.rawValue
    case .queued: ConversationAnswer.Kind.queued.rawValue
    case .attached: 105
    case .outputs: 106
    case .stepApplied: 107
    case .evaluated: 108
    case .checkpointed: 109
    case .stored: 110
    case .progress: 111
    case .parameters: 112
    case .status: ConversationAnswer.Kind.status.rawValue
    case .removed: ConversationAnswer.Kind.removed.rawValue
    case .goodbye: ConversationAnswer.Kind.goodbye.rawValue
    case .pong: ConversationAnswer.Kind.pong.rawValue
    case .finished: ConversationAnswer.Kind.finished.rawValue
    case .deployment(let answer): answer.code
    }
  }

  /// What versions before do not have is left out when it is framed.
  package func envelope(for job: JobID) -> Envelope {
    if let conversation { return conversation.envelope(for: job) }
    var envelope = Envelope(kind: code, job: job)
    switch self {
    case .welcome(let greeting): envelope.writeJSON(greeting)
    case .accepted(let missing, let rows, let steps): envelope.write(missing ? 1 : 0, rows, steps)
    case .attached(let step, let residentRows, let window, let kernel):
      envelope.write(step, residentRows, window)
      envelope.write(text: kernel, since: .six)
    case .outputs(let step, let part, let values), .evaluated(let step, let part, let values):
      envelope.write(step, part)
      envelope.attach(values: values)
    case .stepApplied(let step, let gradientNorm, let learningRate):
      envelope.write(step)
      envelope.fields.write(gradientNorm)
      envelope.fields.write(learningRate)
    case .checkpointed(let step): envelope.write(step)
    case .stored(let count): envelope.write(count)
    case .progress(let from, let records):
      envelope.write(from)
      envelope.writeJSON(records)
    case .parameters(let chunk, let values):
      envelope.write(chunk)
      envelope.attach(values)
    case .deployment(let answer): answer.write(to: &envelope)
    case .refused, .queued, .status, .removed, .goodbye, .pong, .finished: break
    }
    return envelope
  }

  package init(from envelope: inout OpenedEnvelope) throws(WireError) {
    if let answer = try ConversationAnswer(from: &envelope) {
      self.init(answer)
      return
    }
    switch envelope.kind {
    case 101: self = .welcome(try envelope.readJSON("greeting", of: TrainerGreeting.self).printable)
    case 102:
      self = .accepted(
        missingParameters: try envelope.fields.readIndex() != 0, storedRows: try envelope.fields.readIndex(),
        storedSteps: try envelope.fields.readIndex())
    case 105:
      self = .attached(
        step: try envelope.fields.readIndex(), residentRows: try envelope.fields.readIndex(),
        window: try envelope.fields.readIndex(),
        kernel: envelope.version < .six ? "" : try envelope.fields.readText(limit: WireLimits.nameLength))
    case 106:
      self = .outputs(
        step: try envelope.fields.readIndex(), part: try envelope.fields.readIndex(),
        values: try envelope.takeValues("outputs"))
    case 107:
      self = .stepApplied(
        step: try envelope.fields.readIndex(), gradientNorm: try envelope.fields.readDouble(),
        learningRate: try envelope.fields.readDouble())
    case 108:
      self = .evaluated(
        epoch: try envelope.fields.readIndex(), part: try envelope.fields.readIndex(),
        values: try envelope.takeValues("outputs"))
    case 109: self = .checkpointed(step: try envelope.fields.readIndex())
    case 110: self = .stored(count: try envelope.fields.readIndex())
    case 111:
      let from = try envelope.fields.readIndex()
      self = .progress(
        from: from, records: try envelope.readJSON("history", of: [ProgressRecord].self).map(\.printable))
    case 112:
      self = .parameters(
        chunk: try envelope.fields.readIndex(), values: try envelope.takeTensor("weights", rank: 1...2))
    case DeploymentAnswer<Element>.kinds: self = .deployment(try DeploymentAnswer(from: &envelope))
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
