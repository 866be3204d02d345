import Files
package import Foundation
import Foundations
import Protocol
package import Service

/// What a store's plain files tell, for `trainer status`; its JSON form is stable.
package struct StoreReport: Codable, Sendable, Equatable {
  package struct Checkpoint: Codable, Sendable, Equatable {
    package var step: Int
    /// ISO 8601.
    package var time: String
    package var bytes: Int
  }

  package struct Job: Codable, Sendable, Equatable {
    package var job: String
    /// `writing`: its description is not there yet; `unreadable`: it is, and is none of this version.
    package var state: State
    /// The first characters of its owner's key.
    package var owner: String?
    package var step: Int
    package var totalSteps: Int?
    package var checkpoint: Checkpoint?
    package var memoryBytes: Int?
    package var storedBytes: Int
    package var failure: String?
  }

  package enum State: String, Codable, Sendable {
    case writing, unreadable, uploading, ready, running, hosted, finished, failed
  }

  package struct Deployment: Codable, Sendable, Equatable {
    package var deployment: String
    /// The first characters of its owner's key; nil where no file tells it.
    package var owner: String?
    /// The name of the file that is damaged, or cannot be used; nil while it can be served.
    package var damaged: String?
    package var revision: Int
    package var clients: Int
    /// Answered since it was made, of all clients and under all keys.
    package var questions: Int
    package var rows: Int
    package var maximumRows: Int?
    /// As the trainer at work has written them down last; nil without one.
    package var memoryBytes: Int?
    package var medianMilliseconds: Double?
    package var slowMilliseconds: Double?
  }

  package var store: String
  package var format: Int
  /// Nil when none is alive.
  package var trainer: LiveServer?
  package var jobs: [Job]
  package var deployments: [Deployment]
}

/// Reads a store without a trainer and without writing anything, also while a trainer writes there.
package struct StoreSurvey {
  private let store: URL

  package init(store: URL) {
    self.store = store
  }

  /// - Throws: `StoreError` when there is no store or one of another version; `FileError` when it cannot be read.
  package func report() throws -> StoreReport {
    guard isThere(store) else { throw StoreError.missing(path: store.path) }
    let hasMark = try StoreFormat.check(store, of: TrainerConfiguration.program)
    let jobs = store.appending(path: "jobs")
    // A store that a trainer has only just made has its mark, but no folder for jobs yet.
    guard hasMark || isThere(jobs) else { throw StoreError.missing(path: store.path) }
    let names = isThere(jobs) ? try Directory.names(in: jobs.path).sorted() : []
    let (lease, trainer) = LiveServer.find(in: store, program: TrainerConfiguration.program)
    return StoreReport(
      store: store.path, format: StoreFormat.current, trainer: trainer,
      jobs: names.compactMap { job($0, in: jobs, running: trainer == nil ? [] : lease?.running ?? []) },
      deployments: try deployments(isServed: trainer != nil))
  }

  private func deployments(isServed: Bool) throws -> [StoreReport.Deployment] {
    let files = DeploymentStore(store: store)
    let figures = isServed ? files.figures() : DeploymentFigures()
    return try files.load().map { loaded in
      let live = figures.deployments[loaded.id.description]
      return StoreReport.Deployment(
        deployment: loaded.id.description, owner: loaded.owner?.prefix,
        damaged: loaded.problem?.fileName,
        revision: loaded.description?.revision ?? 0, clients: loaded.description?.clients.count ?? 0,
        questions: loaded.book.questions, rows: loaded.book.rows, maximumRows: loaded.description?.maximumRows,
        memoryBytes: live?.memoryBytes, medianMilliseconds: live?.medianMilliseconds,
        slowMilliseconds: live?.slowMilliseconds)
    }
  }

  /// Also true for what is there and cannot be looked at, which the next access reports.
  private func isThere(_ url: URL) -> Bool {
    var status = stat()
    return stat(url.path, &status) == 0 || errno != ENOENT
  }

  /// Nil for a folder that went while it was read.
  private func job(_ name: String, in jobs: URL, running: [String]) -> StoreReport.Job? {
    let folder = jobs.appending(path: name)
    guard let files = try? Directory.names(in: folder.path) else { return nil }
    var job = StoreReport.Job(job: name, state: .writing, step: 0, storedBytes: 0)
    for file in files { job.storedBytes += details(folder.appending(path: file).path)?.bytes ?? 0 }
    guard files.contains("job.json") else { return job }
    guard let data = try? Data(contentsOf: folder.appending(path: "job.json")),
      let stored = TrainingJob(json: data, inFolder: name)
    else {
      job.state = .unreadable
      return job
    }
    job.owner = OwnerKey(z85: stored.owner)?.prefix
    job.totalSteps = stored.description.totalSteps
    job.memoryBytes = JobAdmission<Float>.memoryEstimate(stored.description)
    job.failure = stored.failure
    job.state =
      switch stored.phase {
      case .uploading: .uploading
      case .ready where stored.description.isKept: .hosted
      case .ready: running.contains(name) ? .running : .ready
      case .finished: .finished
      case .failed: .failed
      }
    addCheckpoint(to: &job, in: folder)
    return job
  }

  private func addCheckpoint(to job: inout StoreReport.Job, in folder: URL) {
    guard let step = try? CheckpointStore.steps(in: folder.path).last,
      let found = details(CheckpointStore.path(step, in: folder.path))
    else { return }
    job.step = step
    let time = Date(timeIntervalSince1970: found.time)
    job.checkpoint = StoreReport.Checkpoint(step: step, time: time.ISO8601Format(), bytes: found.bytes)
  }

  private func details(_ path: String) -> (bytes: Int, time: Double)? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return (Int(status.st_size), Double(status.st_mtim.tv_sec))
  }
}
