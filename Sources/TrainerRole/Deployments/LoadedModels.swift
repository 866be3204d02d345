import Files
import Foundations
import Models
import Numerics
import Protocol
import Service
import Training

/// What of deployments is in memory, for whoever asks.
struct LoadedFigures: Sendable, Equatable {
  /// Bytes of each copy.
  var copies: [JobID: Int] = [:]
  var sessions = 0
  var sessionBytes = 0
  /// Since the trainer was started.
  var loads = 0
  var evictions = 0
  var sessionsDropped = 0

  var bytes: Int { copies.values.reduce(sessionBytes, +) }
}

/// Hosted models and the sessions of their clients within a limit of memory: what was used least recently goes when there is no room.
///
/// On the inference thread alone.
struct LoadedModels<Element: FloatingElement> {
  enum Order: Sendable {
    /// It is not hosted any more.
    case forget(JobID)
    /// Its weights may have been uploaded again.
    case tryAgain(JobID)
    case endSessions(of: Asker)
    /// Sessions that nobody has gone on with for long may go.
    case expire
  }

  private struct Loaded {
    let model: HostedModel<Element>
    let bytes: Int
    var lastUse: Int
  }

  private let limit: Int
  private let messageBytes: Int
  private let compute: Compute
  private let kernels: AvailableKernels
  private var models: [JobID: Loaded] = [:]
  /// What cannot be loaded, and why: it is not tried again for each question.
  private var damaged: [JobID: ServiceError] = [:]
  private var sessions = LiveSessions<Element>()
  private var uses = 0
  private var loads = 0
  private var evictions = 0

  /// - Parameters:
  ///   - limit: bytes of memory for all of it.
  ///   - messageBytes: the most that a message of rows holds.
  ///   - compute: whose workers answer; each copy is multiplied in its own precision.
  init(limit: Int, messageBytes: Int, compute: Compute, kernels: AvailableKernels = AvailableKernels()) {
    self.limit = limit
    self.messageBytes = messageBytes
    self.compute = compute
    self.kernels = kernels
  }

  var figures: LoadedFigures {
    LoadedFigures(
      copies: models.mapValues(\.bytes), sessions: sessions.count, sessionBytes: sessions.bytes, loads: loads,
      evictions: evictions, sessionsDropped: sessions.dropped)
  }

  mutating func carryOut(_ order: Order) {
    switch order {
    case .forget(let copy):
      models[copy] = nil
      damaged[copy] = nil
      sessions.end { $0.copy == copy }
    case .tryAgain(let copy): damaged[copy] = nil
    case .endSessions(let asker): sessions.end { $0.asker == asker }
    case .expire: sessions.expire()
    }
  }

  // MARK: - Batches

  private static var blockRows: Int { 256 }
  private static var blockTokens: Int { 1024 }
  private static var blockSessions: Int { 64 }

  /// How many of the tasks for one copy, from the first on, are computed in one pass.
  static func together(_ tasks: [InferenceTask<Element>]) -> Int {
    guard let first = tasks.first else { return 0 }
    var count = 0
    var size = 0
    var sessions: Set<LiveSessions<Element>.Key> = []
    for task in tasks {
      switch (first.work, task.work) {
      case (.rows, .rows(let rows)):
        size += rows.hasSequences ? rows.values.rows : rows.count
        if count > 0, size > (rows.hasSequences ? blockTokens : blockRows) { return count }
      case (.tokens, .tokens(let step)):
        size += step.tokens.rows
        if count > 0, size > blockTokens || count >= blockSessions { return count }
        guard sessions.insert(step.key(of: task.copy)).inserted else { return count }
      case (.end, .end): break
      default: return count
      }
      count += 1
    }
    return count
  }

  /// Bytes that a copy takes in memory, its largest batch of questions included; nil on overflow.
  ///
  /// - Parameter messageBytes: the most that a message of rows holds.
  static func bytesNeeded(_ description: JobDescription, messageBytes: Int = WireLimits().tensorBytes) -> Int? {
    guard let longest = description.graph.maximumTokens else {
      return HostedModel<Element>.memoryEstimate(
        description.graph, inputRows: max(blockRows, description.microBatch), compute: description.computeOfEstimates)
    }
    guard let question = Shape.elementCount([description.microBatch, longest]) else { return nil }
    // No question has more tokens than a message holds.
    let width = max(1, description.graph.input.width)
    let message = messageBytes / (width * MemoryLayout<Element>.size)
    return HostedModel<Element>.memoryEstimate(
      description.graph, inputRows: max(blockTokens, min(question, message)), compute: description.computeOfEstimates)
  }

  /// Answers tasks of one copy that go together.
  mutating func compute(_ tasks: [InferenceTask<Element>]) -> [InferenceResult<Element>] {
    guard let first = tasks.first else { return [] }
    if case .end = first.work {
      for task in tasks {
        if case .end(let asker, let id) = task.work { sessions.end { $0.asker == asker && $0.id == id } }
      }
      return []
    }
    do {
      uses += 1
      let model = try model(of: first.copy)
      if case .rows = first.work { return try infer(tasks, with: model) }
      return try extend(tasks, with: model)
    } catch {
      let failure = Self.serviceError(error)
      return tasks.map { InferenceResult(ticket: $0.ticket, outcome: .failed(failure)) }
    }
  }

  /// What is wrong here is not the client's: not its data, and not its key.
  private static func serviceError(_ error: any Error) -> ServiceError {
    switch error {
    case let error as ServiceError: error
    case let error as FileError:
      ServiceError(
        error.kind == .exhausted ? .exhausted : .refused, error.description,
        told: "the trainer cannot use a file of this deployment: \(error.descriptionForOthers)")
    case let error as any Failure:
      ServiceError(
        [.inputData, .keyOrPermission].contains(error.kind) ? .refused : error.kind, error.description,
        told: error.descriptionForOthers)
    default: ServiceError(.defect, "\(error)")
    }
  }

  private func infer(
    _ tasks: [InferenceTask<Element>], with model: HostedModel<Element>
  ) throws -> [InferenceResult<Element>] {
    let questions = tasks.compactMap { task -> RowDelivery<Element>? in
      if case .rows(let rows) = task.work { return rows }
      return nil
    }
    let isOfSequences = questions[0].hasSequences
    let layout =
      isOfSequences
      ? SequenceLayout(
        lengths: questions.flatMap { Array($0.lengths.elements) },
        pooled: questions.flatMap { Array($0.pooled.elements) })
      : nil
    let outputs = try model.infer(rows: questions.reduce(0) { $0 + $1.count }, sequences: layout) { destination in
      var next = 0
      for question in questions {
        question.values.withUnsafeBufferPointer { values in
          _ = UnsafeMutableBufferPointer(rebasing: destination[next..<next + values.count]).update(
            fromContentsOf: values)
          next += values.count
        }
      }
    }
    let isByToken = tasks[0].copy.job.description.graph.hasOutputsByToken
    var next = 0
    return zip(tasks, questions).map { task, question in
      let rows = isByToken ? question.values.rows : question.count
      defer { next += rows }
      return InferenceResult(
        ticket: task.ticket,
        outcome: .outputs(outputs.slice(rows: next..<next + rows), digest: question.digest))
    }
  }

  private mutating func extend(
    _ tasks: [InferenceTask<Element>], with model: HostedModel<Element>
  ) throws -> [InferenceResult<Element>] {
    var outcomes: [Int: InferenceResult<Element>.Outcome] = [:]
    var ready: [ReadyStep] = []
    func run() throws {
      guard !ready.isEmpty else { return }
      let outputs = try model.extend(ready.map { ($0.cache, $0.step.tokens) })
      for (index, part) in ready.enumerated() {
        outcomes[part.ticket] = part.step.outcome(of: outputs.slice(rows: index..<index + 1), place: part.place)
      }
      ready = []
    }
    for task in tasks {
      guard case .tokens(let step) = task.work, let key = task.sessionKey else { continue }
      do {
        let place = try step.newPlace()
        let graph = task.copy.job.description.graph
        guard let cache = try sessions.open(step, key: key, of: model, graph: graph, use: uses) else {
          outcomes[task.ticket] = .sessionLost
          continue
        }
        let growth = try sessions.growth(of: cache, by: step.tokens.rows)
        do {
          try makeRoom(
            for: ready.reduce(growth) { $0 + $1.growth }, keeping: task.copy.job.id, and: Set(ready.map(\.key) + [key]))
        } catch  where !ready.isEmpty {
          // They do not fit all at once.
          try run()
          try makeRoom(for: growth, keeping: task.copy.job.id, and: [key])
        }
        ready.append(
          ReadyStep(ticket: task.ticket, step: step, key: key, cache: cache, growth: growth, place: place))
      } catch {
        outcomes[task.ticket] = error is SessionStepProblem ? .sessionLost : .failed(Self.serviceError(error))
      }
    }
    try run()
    return tasks.map { InferenceResult(ticket: $0.ticket, outcome: outcomes[$0.ticket] ?? .sessionLost) }
  }

  /// A session whose cache is here and may grow.
  private struct ReadyStep {
    let ticket: Int
    let step: SessionStep<Element>
    let key: LiveSessions<Element>.Key
    let cache: GenerationCache<Element>
    /// Bytes that it will take more.
    let growth: Int
    let place: SessionMarks.Place?
  }

  // MARK: - Memory

  /// - Throws: `ServiceError` for weights that are damaged, and for what does not fit beside what is needed at once.
  private mutating func model(of copy: HostedCopy) throws -> HostedModel<Element> {
    let id = copy.job.id
    if let error = damaged[id] { throw error }
    if let loaded = models[id] {
      models[id]?.lastUse = uses
      return loaded.model
    }
    guard let bytes = Self.bytesNeeded(copy.job.description, messageBytes: messageBytes) else {
      throw TrainingError.tooLarge
    }
    try makeRoom(for: bytes, keeping: id, and: [])
    do {
      // Questions remember no kernel: answers promise nothing about their last bits.
      let compute = kernels.compute(compute.workers, for: copy.job.description.precision)
      let model = try JobCheckpoints<Element>(copy.job, in: copy.store).hosted(compute: compute)
      models[id] = Loaded(model: model, bytes: bytes, lastUse: uses)
      loads += 1
      return model
    } catch let error as any Failure where error.kind == .inputData || error is TrainingError {
      let failure = ServiceError.damagedDeployment(
        (error as? FileError)?.descriptionByName ?? error.descriptionForOthers, detail: error.description)
      damaged[id] = failure
      throw failure
    }
  }

  /// Takes the least recently used copies and sessions out of memory until there is room.
  ///
  /// - Throws: `ServiceError` where that is not enough.
  private mutating func makeRoom(
    for bytes: Int, keeping copy: JobID, and keys: Set<LiveSessions<Element>.Key>
  ) throws {
    while figures.bytes > limit - bytes {
      let model = models.filter { $0.key != copy }.min { $0.value.lastUse < $1.value.lastUse }
      let session = sessions.leastRecentlyUsed(except: keys)
      switch (model, session) {
      case (let model?, let session?) where session.lastUse <= model.value.lastUse: sessions.drop(session.key)
      case (let model?, _):
        models[model.key] = nil
        evictions += 1
      case (nil, let session?): sessions.drop(session.key)
      case (nil, nil):
        throw ServiceError.refused(
          "this needs \(ByteSize.binaryText(bytes)) more memory than the models and sessions of deployments may have here; "
            + "ask with fewer tokens, or fewer sessions at a time", cause: .memory)
      }
    }
  }
}

extension InferenceTask {
  fileprivate var sessionKey: LiveSessions<Element>.Key? {
    if case .tokens(let step) = work { return step.key(of: copy) }
    return nil
  }
}
