import Cryptography
import Foundations
import JobSpec
package import Masking
import Models
package import Numerics
package import Protocol
package import Training

/// Something outside of the rounds ended one: what its progress threw. The job is saved at the trainer.
package struct RoundInterruption: Error {
  package let cause: any Error
}

/// Rounds of training at a trainer, the loss at the owner: each is a job of its own that starts from weights of the owner's with an optimizer that
/// remembers nothing. All are masked under one key, and over one channel.
///
/// The rows are the same in all rounds, so that fresh keys would hide nothing: the same rows under two keys are linked by their distances, and one
/// follows from the other by a linear map. One key also needs them masked once.
package final class MaskedRounds<Element: FloatingElement> {
  package let prepared: PreparedJob
  private let keys: JobKeys<Element>
  private var samples: any MaskedSamples<Element>
  private let initial: any PlaintextWeights
  private var jobs: RoundJobs
  private let scheduledSteps: Int?
  private let channel: any OwnerChannel
  private let options: RunOptions
  private let isInterrupted: () -> Bool
  private let observe: (RunEvent) -> Void
  /// Of the steps, and of scores, where every row counts 1.
  private let loss: LossFunction
  private let scoring: LossFunction

  /// - Parameters:
  ///   - samples: masked with `keys`.
  ///   - initial: where weights come from that are not trained.
  ///   - classWeights: what a training row of each class counts; nil where all count 1.
  ///   - jobs: whose key `keys` are expanded from.
  ///   - scheduledSteps: of all rounds together, over which the learning rate's schedule runs; nil where it runs over each by itself.
  ///   - channel: to the trainer; stays open.
  ///   - isInterrupted: asked while the trainer is away.
  ///   - observe: told when the trainer is away, when it is back, and when a job waits there for others.
  package init(
    prepared: PreparedJob, keys: JobKeys<Element>, samples: any MaskedSamples<Element>, initial: any PlaintextWeights,
    classWeights: [Double]? = nil, jobs: RoundJobs, scheduledSteps: Int? = nil, channel: any OwnerChannel,
    options: RunOptions,
    isInterrupted: @escaping () -> Bool,
    observe: @escaping (RunEvent) -> Void
  ) {
    self.prepared = prepared
    self.keys = keys
    self.samples = samples
    self.initial = initial
    self.jobs = jobs
    self.scheduledSteps = scheduledSteps
    self.channel = channel
    self.options = options
    self.isInterrupted = isInterrupted
    self.observe = observe
    loss = LossFunction(task: prepared.job.task, classWeights: classWeights)
    scoring = LossFunction(task: prepared.job.task)
  }

  /// What one round has done.
  package struct Outcome {
    /// The trained parameters after it, in their order.
    package let weights: [Tensor<Element>]
    /// Over all steps: the sum of the losses, and what it is the sum of (rows, tokens or entries).
    package let lossSum: Double
    package let observed: Int
    /// The sum of the steps' learning rates.
    package let rateSum: Double
  }

  /// Trains a round. The same steps from the same weights give the same bits, also when either side is killed in between.
  ///
  /// - Parameters:
  ///   - steps: of the prepared job's plan.
  ///   - weights: the trained parameters to start from, in their order.
  ///   - terms: what this round's steps do beside the loss's gradient.
  ///   - progress: steps done and in all, at least once a second while the trainer is there; what it throws ends the round, which a later call
  ///     goes on with.
  /// - Throws: `RoundInterruption`; `OwnerError` as a run does.
  package func train(
    steps: Range<Int>, from weights: [Tensor<Element>], with terms: RoundTerms<Element> = RoundTerms(),
    progress: (Int, Int) throws -> Void
  ) throws -> Outcome {
    let round = RoundBatches(prepared.plan, steps: steps, drawnBy: terms.privacy?.sampling)
    let part = scheduledSteps.map { SchedulePart(firstStep: steps.lowerBound, totalSteps: $0) }
    let description = try prepared.description(of: round, terms, schedule: part)
    let job = try jobs.begin("train \(steps.lowerBound) \(steps.upperBound) \(Self.digest(weights, terms))")
    return try conversation(about: job, total: steps.count, progress) { talk in
      let context = RunContext(
        prepared: prepared, round: (description, round), loss: loss, keys: keys,
        samples: samples,
        connection: talk.connection, history: try RunHistory(jobs.history), times: PhaseTimes(),
        interruption: talk.interruption, observe: talk.note)
      let result = try talk.trainer.run(history: context) {
        try removeLeftovers()
        _ = try submission(talk, context.description, weights, offsets: terms.offsets ?? [])
        try OwnerLossTraining.run(context)
        return try self.weights(
          after: WeightTransfer(
            connection: talk.connection, specifications: prepared.shape.structure.parameters
          ).download { _, _ in }, from: weights)
      }
      try jobs.end(job, isRemoved: talk.connection.release())
      return try outcome(result, round: round, context.history.records)
    }
  }

  /// How a model does on the validation rows.
  package struct Score: Sendable {
    package let rows: Int
    package let lossSum: Double
    package let observed: Int
    package let metrics: Metrics
  }

  /// Scores weights by masked inference.
  ///
  /// - Parameter progress: as of `train`, without numbers.
  /// - Returns: nil when the split leaves no validation rows.
  /// - Throws: as `train`.
  package func evaluate(_ weights: [Tensor<Element>], progress: () throws -> Void) throws -> Score? {
    guard !prepared.plan.validationSlots.isEmpty else { return nil }
    let job = try jobs.beginPassing()
    return try conversation(about: job, total: 1, { _, _ in try progress() }) { talk in
      let score = try talk.trainer.run(history: nil) {
        try removeLeftovers(but: job)
        let submission = try self.submission(talk, prepared.descriptionOfInference(), weights)
        let window = try submission.attachInference { talk.note(.queued(position: $0)) }
        let score = try self.score(talk, window: window, pass: Self.pass(of: weights))
        try submission.endInference()
        return score
      }
      try jobs.end(job, isRemoved: talk.connection.release())
      return score
    }
  }

  /// No round comes any more: has the trainer remove what a round that was broken off left there, if it can be reached at once.
  package func end() throws {
    try jobs.abandonOpen()
    guard let job = jobs.leftovers.first else { return }
    let connection = connection(about: job)
    do {
      try connection.greet(patience: .seconds(1), interrupted: isInterrupted)
      try removeLeftovers()
    } catch OwnerError.trainerGone(_) {
      // What stays is of no use to anybody, and the trainer's operator can remove it.
    }
  }

  // MARK: - Conversations

  /// A connection about one job, and what ends it from outside.
  private struct Talk {
    let connection: TrainerConnection<Element>
    let trainer: TrainerWait<Element>
    let interruption: Interruption
    let note: (RunEvent) -> Void
  }

  /// Greets the trainer about a job and works on it; what `progress` throws asks for an orderly end, and is thrown then.
  private func conversation<Value>(
    about job: JobID, total: Int, _ progress: (Int, Int) throws -> Void, _ work: (Talk) throws -> Value
  ) throws -> Value {
    let connection = connection(about: job)
    let interruption = Interruption()
    var failure: (any Error)?
    var done = 0
    return try withoutActuallyEscaping(progress) { progress in
      func pulse() {
        guard failure == nil else { return }
        do { try progress(done, total) } catch {
          failure = error
          interruption.request()
        }
      }
      connection.whileWaiting = pulse
      defer { connection.whileWaiting = {} }
      let isOver = { [isInterrupted] in interruption.isRequested || isInterrupted() }
      let talk = Talk(
        connection: connection,
        trainer: TrainerWait(
          connection: connection, patience: options.patience, isInterrupted: isOver, observe: observe),
        interruption: interruption,
        note: { [observe] event in
          switch event {
          case .progress(.step(let step, _, _, _, _), _): done = step + 1
          case .queued: observe(event)
          default: break
          }
          pulse()
        })
      do {
        try talk.trainer.greet(steps: 0)
        return try work(talk)
      } catch {
        if let failure { throw RoundInterruption(cause: failure) }
        throw error
      }
    }
  }

  private func connection(about job: JobID) -> TrainerConnection<Element> {
    let connection = TrainerConnection<Element>(
      channel: channel, job: job, software: options.software, peer: options.peer, silence: options.silence)
    connection.narrowsValues = prepared.description.precision.narrowsValues
    return connection
  }

  /// Proposes a job, and uploads its masked weights, and offsets behind them, where the trainer has none.
  private func submission(
    _ talk: Talk, _ description: JobDescription, _ weights: [Tensor<Element>], offsets: [Tensor<Element>] = []
  ) throws -> JobSubmission<Element> {
    let specifications = prepared.shape.structure.parameters
    let submission = JobSubmission(
      connection: talk.connection, description: description, specifications: specifications)
    let places = trainedPlaces
    _ = try submission.send { index in
      if index >= specifications.count {
        let number = index - specifications.count
        return try keys.maskParameter(offsets[number], specifications[places[number]])
      }
      let plain: Tensor<Element> =
        try places.firstIndex(of: index).map { weights[$0] } ?? initial.tensor(specifications[index])
      return try keys.maskParameter(plain, specifications[index])
    }
    return submission
  }

  private var trainedPlaces: [Int] {
    prepared.shape.structure.parameters.indices.filter { prepared.shape.structure.parameters[$0].isTrained }
  }

  /// Has the trainer remove jobs that a kill left there. One that it does not know is removed already.
  private func removeLeftovers(but present: JobID? = nil) throws {
    for job in jobs.leftovers where job != present {
      let connection = connection(about: job)
      do {
        try connection.send(.cancel)
        try connection.waitFor { message in
          if case .removed = message { return true }
          return nil as Bool?
        }
      } catch OwnerError.refused(_, _) {
      }
      try jobs.end(job, isRemoved: true)
    }
  }

  // MARK: - Results

  /// Unmasks what training changed, not the weights: rounding is then of the change's size.
  private func weights(after masked: [Tensor<Element>], from weights: [Tensor<Element>]) throws -> [Tensor<Element>] {
    let specifications = prepared.shape.structure.parameters.filter(\.isTrained)
    return try specifications.indices.map { index in
      let before = try keys.maskParameter(weights[index], specifications[index])
      let change = try keys.unmaskParameter(
        Tensor(zip(masked[index].elements, before.elements).map { $0 - $1 }, shape: before.shape),
        specifications[index])
      return Tensor(zip(weights[index].elements, change.elements).map { $0 + $1 }, shape: weights[index].shape)
    }
  }

  private func outcome(
    _ weights: [Tensor<Element>], round: RoundBatches, _ records: [ProgressRecord]
  ) throws -> Outcome {
    var (lossSum, observed, rateSum) = (0.0, 0, 0.0)
    for case .step(let step, let loss, let rate, _, _) in records where step < round.steps {
      let slots = try round.trainedSlots(ofStep: step)
      let count = slots.isEmpty ? 0 : try samples.observedCount(of: slots)
      lossSum += loss * Double(max(1, count))
      observed += count
      rateSum += rate
    }
    return Outcome(weights: weights, lossSum: lossSum, observed: observed, rateSum: rateSum)
  }

  private func score(_ talk: Talk, window: Int, pass: Int) throws -> Score {
    let all = prepared.plan.validationSlots
    samples.beginConversation(residentRows: 0)
    var parts = PredictionParts(connection: talk.connection, window: window, outputs: prepared.shape.data.outputs)
    var sent: [ArraySlice<Int32>] = []
    var metrics = MetricAccumulator(task: prepared.job.task)
    var (sum, observed) = (0.0, 0)
    func use(_ rows: [PredictedRow], _ masked: Tensor<Element>) throws {
      let slots = sent.removeFirst()
      let outputs = try keys.unmaskOutputs(masked)
      let targets = try samples.targets(of: slots, pass: pass)
      sum += try scoring.evaluate(outputs: outputs, targets: targets, normalizer: 1).lossSum
      observed += targets.observedCount
      try metrics.add(outputs: outputs, targets: targets)
    }
    let size = prepared.description.evaluationRows
    for first in stride(from: all.lowerBound, to: all.upperBound, by: size) {
      let slots = (first..<min(all.upperBound, first + size)).map { Int32($0) }[...]
      sent.append(slots)
      if talk.interruption.isRequested { throw OwnerError.interrupted(step: 0) }
      try parts.send(
        [PredictedRow(outputs: try samples.outputRows(of: slots))], try samples.delivery(of: slots, pass: pass),
        use: use)
    }
    try parts.finish(use: use)
    return Score(rows: all.count, lossSum: sum, observed: observed, metrics: metrics.result())
  }

  // MARK: - Names

  /// SHA-256 of the bytes of the weights, of offsets and of the noise's seed, as far as there are any, in hexadecimal.
  private static func digest(_ weights: [Tensor<Element>], _ terms: RoundTerms<Element> = RoundTerms()) -> String {
    var hash = SHA256()
    for tensor in weights + (terms.offsets ?? []) {
      tensor.withUnsafeBufferPointer { hash.update(UnsafeRawBufferPointer($0)) }
    }
    terms.privacy?.steps.seed.withBytes { hash.update($0) }
    return hash.finalize().bytes.hexadecimal
  }

  /// Orders of tokens differ between evaluations of two models, and not between two of one.
  private static func pass(of weights: [Tensor<Element>]) -> Int {
    Int(digest(weights).prefix(12), radix: 16) ?? 0
  }
}
