package import Foundations
package import Foundation
package import Numerics

/// What an owner sends to a trainer. Rows, weights, gradients and labels in it are masked.
package enum OwnerMessage<Element: FloatingElement>: WireMessage, Equatable {
  /// Opens a conversation; answered by `welcome`.
  case hello(software: String)
  /// Proposes a job; the same job may be proposed again after a break. Answered by `accepted` or `refused`.
  case submit(JobDescription)
  /// Chunk number `chunk` of the starting weights (`ParameterChunks`). Answered by `stored`.
  case parameters(chunk: Int, values: Tensor<Element>)
  /// Takes the job up; `historySteps` are the steps whose history the owner holds. Answered by `attached`, or `queued` until then.
  case attach(historySteps: Int)
  /// Of a private job, before anything else of a step: how many rows it has. With none the trainer takes the step at once and answers
  /// `stepApplied`; said one step ahead at most.
  case step(step: Int, rows: Int)
  /// Loss at the owner: inputs of one micro-batch. Answered by `outputs`.
  case batch(step: Int, part: Int, rows: RowDelivery<Element>)
  /// ∂L/∂y' of a micro-batch, [n, outputs]. After the last part of a step the trainer answers `stepApplied`.
  case gradient(step: Int, part: Int, values: Tensor<Element>)
  /// Masked inference on validation or prediction rows. Answered by `evaluated`.
  case evaluate(epoch: Int, part: Int, rows: RowDelivery<Element>)
  /// The weights as they are now are the best so far.
  case keep(epoch: Int)
  /// The owner's history is durable up to `step`: older checkpoints may go. Answers `checkpointed`.
  case commit(step: Int)
  /// Save now: answered by `checkpointed`.
  case save
  /// Loss at the trainer: rows for slots `firstSlot …`. Answered by `stored`.
  case storeRows(firstSlot: Int, values: Tensor<Element>)
  /// Loss at the trainer, where samples are sequences: [n] lengths and pooled tokens of the samples in slots `firstSlot …`, and
  /// all their tokens. Answered by `stored`, which counts samples.
  case storeSequences(firstSlot: Int, lengths: Tensor<Int32>, pooled: Tensor<Int32>, values: Tensor<Element>)
  /// Loss at the trainer: labels for slots `firstSlot …`, one per token where the task is per token. Answered by `stored`.
  case storeTargets(firstSlot: Int, targets: MaskedTargets<Element>)
  /// Loss at the trainer: slots of batches `firstStep …`, [steps, batch], −1 = padding. Answered by `stored`.
  case storePlan(firstStep: Int, slots: Tensor<Int32>)
  /// Loss at the trainer: everything is uploaded.
  case start
  /// Loss at the trainer: send history from record `from` on as it comes.
  case follow(from: Int)
  /// Loss at the owner: the last step and its evaluation are done. Answered by `finished`.
  case finish
  /// Asks for chunk number `chunk` of the resulting weights. Answered by `parameters`.
  case retrieve(chunk: Int)
  case status
  /// Stops the job and removes it.
  case cancel
  /// The owner holds the result: the trainer removes the job.
  case release
  /// Says that the owner is alive. Answered by `pong`.
  case ping
  /// The owner goes away on purpose; the job waits for it.
  case leave
  /// Of the owner of a deployment.
  case deployment(DeploymentRequest)
  /// Of a client of a deployment.
  case question(ClientRequest<Element>)

  /// As every server understands it; nil for what a trainer alone does.
  private var conversation: ConversationRequest? {
    switch self {
    case .hello(let software): .hello(software: software)
    case .status: .status
    case .cancel: .cancel
    case .release: .release
    case .ping: .ping
    default: nil
    }
  }

  private init(_ request: ConversationRequest) {
    switch request {
    case .hello(let software): self = .hello(software: software)
    case .status: self = .status
    case .cancel: self = .cancel
    case .release: self = .release
    case .ping: self = .ping
    }
  }

  private var code: UInt8 {
    switch self {
    case .hello: ConversationRequest.Kind.hello.rawValue
    case .submit: 2
    case .parameters: 3
    case .attach: 4
    case .batch: 5
    case .gradient: 6
    case .evaluate: 7
    case .keep: 8
    case .commit: 9
    case .save: 10
    case .storeRows: 11
    case .storeTargets: 12
    case .storePlan: 13
    case .start: 14
    case .follow: 15
    case .retrieve: 16
    case .status: ConversationRequest.Kind.status.rawValue
    case .cancel: ConversationRequest.Kind.cancel.rawValue
    case .release: ConversationRequest.Kind.release.rawValue
    case .ping: ConversationRequest.Kind.ping.rawValue
    case .finish: 21
    case .leave: 22
    case .storeSequences: 23
    case .step: 24
    case .deployment(let request): request.code
    case .question(let request): request.code
    }
  }

  package func envelope(for job: JobID) -> Envelope {
    if let conversation { return conversation.envelope(for: job) }
    var envelope = Envelope(kind: code, job: job)
    switch self {
    case .submit(let description): envelope.writeJSON(description)
    case .parameters(let chunk, let values):
      envelope.write(chunk)
      envelope.attach(values)
    case .attach(let historySteps): envelope.write(historySteps)
    case .step(let step, let rows): envelope.write(step, rows)
    case .batch(let step, let part, let rows):
      envelope.write(step, part)
      rows.attach(to: &envelope)
    case .gradient(let step, let part, let values):
      envelope.write(step, part)
      envelope.attach(values: values)
    case .evaluate(let epoch, let part, let rows):
      envelope.write(epoch, part)
      rows.attach(to: &envelope)
    case .keep(let epoch): envelope.write(epoch)
    case .commit(let step): envelope.write(step)
    case .storeRows(let firstSlot, let values):
      envelope.write(firstSlot)
      envelope.attach(values: values)
    case .storeSequences(let firstSlot, let lengths, let pooled, let values):
      envelope.write(firstSlot)
      envelope.attach(lengths)
      envelope.attach(pooled)
      envelope.attach(values: values)
    case .storeTargets(let firstSlot, .classes(let ids)):
      envelope.write(firstSlot, 0)
      envelope.attach(ids)
    case .storeTargets(let firstSlot, .values(let values)):
      envelope.write(firstSlot, 1)
      envelope.attach(values)
    case .storePlan(let firstStep, let slots):
      envelope.write(firstStep)
      envelope.attach(slots)
    case .follow(let from): envelope.write(from)
    case .retrieve(let chunk): envelope.write(chunk)
    case .deployment(let request): request.write(to: &envelope)
    case .question(let request): request.write(to: &envelope)
    case .save, .start, .finish, .leave, .hello, .status, .cancel, .release, .ping: break
    }
    return envelope
  }

  package init(from envelope: inout OpenedEnvelope) throws(WireError) {
    if let request = try ConversationRequest(from: &envelope) {
      self.init(request)
      return
    }
    switch envelope.kind {
    case 2:
      let description: JobDescription =
        switch envelope.version {
        case .two: try envelope.readJSON("job description", of: JobDescriptionVersion2.self).description
        case .three, .four, .five, .six: try envelope.readJSON("job description")
        }
      if description.privacy != nil, envelope.version < .four {
        throw .privateStepsTooEarly
      }
      if description.purpose == .hosting, envelope.version < .five { throw .hostingTooEarly }
      if description.needsVersion5, envelope.version < .five { throw .correctedStepsTooEarly }
      if description.needsVersion6, envelope.version < .six { throw .precisionTooEarly }
      try description.validate()
      self = .submit(description)
    case 3:
      self = .parameters(
        chunk: try envelope.fields.readIndex(), values: try envelope.takeTensor("weights", rank: 1...2))
    case 4: self = .attach(historySteps: try envelope.fields.readIndex())
    case 5:
      self = .batch(
        step: try envelope.fields.readIndex(), part: try envelope.fields.readIndex(),
        rows: try RowDelivery(from: &envelope))
    case 6:
      self = .gradient(
        step: try envelope.fields.readIndex(), part: try envelope.fields.readIndex(),
        values: try envelope.takeValues("output gradient"))
    case 7:
      self = .evaluate(
        epoch: try envelope.fields.readIndex(), part: try envelope.fields.readIndex(),
        rows: try RowDelivery(from: &envelope))
    case 8: self = .keep(epoch: try envelope.fields.readIndex())
    case 9: self = .commit(step: try envelope.fields.readIndex())
    case 10: self = .save
    case 11:
      self = .storeRows(
        firstSlot: try envelope.fields.readIndex(), values: try envelope.takeValues("rows"))
    case 12: self = try Self.targets(from: &envelope)
    case 13:
      self = .storePlan(
        firstStep: try envelope.fields.readIndex(), slots: try envelope.takeTensor("batch slots", rank: 2...2))
    case 14: self = .start
    case 15: self = .follow(from: try envelope.fields.readIndex())
    case 16: self = .retrieve(chunk: try envelope.fields.readIndex())
    case 21: self = .finish
    case 22: self = .leave
    case 23: self = try Self.sequences(from: &envelope)
    case 24: self = .step(step: try envelope.fields.readIndex(), rows: try envelope.fields.readIndex())
    case DeploymentRequest.kinds where envelope.version >= .five:
      self = .deployment(try DeploymentRequest(from: &envelope))
    case ClientRequest<Element>.kinds where envelope.version >= .five:
      self = .question(try ClientRequest(from: &envelope))
    default: throw .malformed("an unknown kind of message")
    }
    try envelope.finish()
  }

  private static func sequences(from envelope: inout OpenedEnvelope) throws(WireError) -> Self {
    let firstSlot = try envelope.fields.readIndex()
    let lengths: Tensor<Int32> = try envelope.takeTensor("sample lengths", rank: 1...1)
    let pooled: Tensor<Int32> = try envelope.takeTensor("pooled tokens", rank: 1...1)
    let values: Tensor<Element> = try envelope.takeValues("rows")
    try RowDelivery<Element>.check(lengths: lengths, pooled: pooled, samples: lengths.count, tokens: values.rows)
    return .storeSequences(firstSlot: firstSlot, lengths: lengths, pooled: pooled, values: values)
  }

  private static func targets(from envelope: inout OpenedEnvelope) throws(WireError) -> Self {
    let firstSlot = try envelope.fields.readIndex()
    switch try envelope.fields.readIndex() {
    case 0:
      return .storeTargets(
        firstSlot: firstSlot, targets: .classes(try envelope.takeTensor("class labels", rank: 1...1)))
    case 1:
      return .storeTargets(
        firstSlot: firstSlot, targets: .values(try envelope.takeTensor("label values", rank: 2...2)))
    default: throw .malformed("an unknown kind of labels")
    }
  }
}

/// Builds and parses messages of one element type under one set of limits.
package struct MessageCodec<Element: FloatingElement>: Sendable {
  package let limits: WireLimits

  package init(limits: WireLimits = WireLimits()) {
    self.limits = limits
  }

  /// - Parameters:
  ///   - version: what the trainer reads.
  ///   - narrowingValues: as of `Envelope.frames`.
  package func frames(
    _ message: OwnerMessage<Element>, job: JobID, version: WireVersion = .current, narrowingValues: Bool = false
  ) -> [Data] {
    message.envelope(for: job).frames(version: version, narrowingValues: narrowingValues)
  }

  /// - Parameters:
  ///   - version: what the owner speaks.
  ///   - narrowingValues: as of `Envelope.frames`.
  package func frames(
    _ message: TrainerMessage<Element>, job: JobID, version: WireVersion = .current, narrowingValues: Bool = false
  ) -> [Data] {
    message.envelope(for: job).frames(version: version, narrowingValues: narrowingValues)
  }

  /// - Throws: `WireError` for anything that is not exactly one message of an owner.
  package func ownerMessage(_ frames: [Data]) throws(WireError) -> (job: JobID, message: OwnerMessage<Element>) {
    var envelope = try OpenedEnvelope(frames, limits: limits)
    return (envelope.job, try OwnerMessage(from: &envelope))
  }

  /// - Throws: `WireError` for anything that is not exactly one message of a trainer.
  package func trainerMessage(_ frames: [Data]) throws(WireError) -> (job: JobID, message: TrainerMessage<Element>) {
    var envelope = try OpenedEnvelope(frames, limits: limits)
    return (envelope.job, try TrainerMessage(from: &envelope))
  }
}
