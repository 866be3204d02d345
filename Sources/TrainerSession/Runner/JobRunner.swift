import Architecture
import Checkpoints
import Training
import Failures
import Foundation
import Tensors
import Wire

/// Runs one job on a thread of its own, so that the service thread stays free for sockets.
final class JobRunner<Element: FloatingElement>: Sendable {
  let job: JobID
  let inbox: Inbox<Element>

  /// Starts at once. Its end is posted to `outbox` as `.ended`, exactly once.
  init(
    job: StoredJob, configuration: TrainerConfiguration, store: JobStore, outbox: Outbox<Element>, historySteps: Int
  ) {
    self.job = job.id
    let inbox = Inbox<Element>(capacity: 4 * OwnerPacedTraining<Element>.largestWindow)
    self.inbox = inbox
    let thread = Thread {
      outbox.post(
        .ended(
          job.id,
          Self.run(
            job, configuration: configuration, store: store, inbox: inbox, outbox: outbox, historySteps: historySteps)))
    }
    thread.stackSize = 8 << 20
    thread.name = "job"
    thread.start()
  }

  private static func run(
    _ job: StoredJob, configuration: TrainerConfiguration, store: JobStore, inbox: Inbox<Element>,
    outbox: Outbox<Element>, historySteps: Int
  ) -> RunnerOutcome {
    do {
      if configuration.usesReplicas {
        return try ReplicatedRun(job, configuration: configuration, inbox: inbox).run(
          store: store, outbox: outbox, historySteps: historySteps)
      }
      let context = try RunnerContext(
        job: job, configuration: configuration, store: store, outbox: outbox, historySteps: historySteps)
      outbox.post(.event(.jobStarted(job: job.id, step: context.engine.step)))
      if job.description.purpose == .training, job.description.lossLocation == .trainer {
        var training = try AutonomousTraining(context: context, inbox: inbox)
        return try training.run()
      }
      var training = try OwnerPacedTraining(context: context, inbox: inbox)
      return try training.run()
    } catch let failure as any Failure {
      // A runner reads no files but the store's.
      let stored = (failure as? CheckpointError).map(TrainerError.init(ofStoredFiles:))
      let error = stored ?? TrainerError(failure.kind, failure.description)
      let passing: [FailureKind] = [.exhausted, .refused, .inputData, .keyOrPermission]
      return .failed(error, resumable: passing.contains(error.kind))
    } catch {
      return .failed(TrainerError(.defect, "\(error)"), resumable: true)
    }
  }
}
