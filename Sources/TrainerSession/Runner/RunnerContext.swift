import Architecture
import Checkpoints
import Foundation
import Tensors
import Training
import Wire

/// What every kind of runner works with: the job, its engine, its checkpoints, and the way out.
struct RunnerContext<Element: FloatingElement> {
  let job: StoredJob
  let configuration: TrainerConfiguration
  let folder: URL
  let checkpoints: CheckpointStore
  let outbox: Outbox<Element>
  let engine: TrainingEngine<Element>
  /// Weights after the best epoch so far, when the job keeps the best.
  var best: KeptWeights<Element>?

  var description: JobDescription { job.description }

  func send(_ message: TrainerMessage<Element>) {
    outbox.post(.send(job.id, message))
  }

  func report(_ event: TrainerEvent) {
    outbox.post(.event(event))
  }

  /// Opens the newest checkpoint of at most `historySteps` steps.
  ///
  /// - Throws: `TrainerError` when there is none that the owner's history reaches.
  init(
    job: StoredJob, configuration: TrainerConfiguration, store: JobStore, outbox: Outbox<Element>, historySteps: Int
  ) throws {
    self.job = job
    self.configuration = configuration
    self.outbox = outbox
    folder = store.path(of: job.id)
    checkpoints = store.checkpoints(of: job.id)
    guard let step = try checkpoints.steps().last(where: { $0 <= historySteps }) else {
      throw TrainerError.refused("no checkpoint at or before step \(historySteps) is left; submit the job anew")
    }
    let checkpoint: TrainingCheckpoint<Element> = try job.loadCheckpoint(step: step, from: checkpoints)
    engine = try TrainingEngine(
      model: job.description.model, optimizer: job.description.optimizer, schedule: job.description.schedule,
      totalSteps: job.description.totalSteps, batchRows: job.description.batch, workers: configuration.workers,
      parameters: checkpoint.parameters.map(\.tensor))
    if step > 0 {
      try engine.setOptimizerState(Array(checkpoint.optimizerState))
      engine.step = step
    }
    if let best = checkpoint.best, let epoch = checkpoint.bestEpoch {
      self.best = KeptWeights(epoch: epoch, metric: checkpoint.bestMetric, parameters: best)
    }
  }

  /// Writes a durable checkpoint of the state after the last applied step.
  func saveCheckpoint() throws {
    let clock = ContinuousClock()
    let elapsed = try clock.measure {
      try checkpoints.save(
        TrainingCheckpoint(
          step: engine.step, jobDigest: job.id.description, parameters: presentWeights,
          optimizerState: NamedTensors(engine.optimizerState.map { ($0.name, $0.tensor) }), best: best?.parameters,
          bestEpoch: best?.epoch, bestMetric: best?.metric))
    }
    report(.checkpoint(job: job.id, step: engine.step, seconds: elapsed / .seconds(1)))
  }

  /// The engine's present weights as the best so far.
  mutating func keepPresentWeights(epoch: Int, metric: Double?) {
    best = KeptWeights(epoch: epoch, metric: metric, parameters: presentWeights)
  }

  private var presentWeights: NamedTensors<Element> {
    NamedTensors(zip(engine.model.structure.parameters.map(\.name), engine.parameters).map { ($0, $1) })
  }
}
