import Collectives
import Files
import Foundation
import Foundations
import Models
import Numerics
package import Protocol
import Service
import Synchronization
import Training

extension JobDescription: JobContent {
  /// Whether its loss is computed here: then it needs no owner to go on.
  package var isAutonomous: Bool { purpose == .training && lossLocation == .trainer }

  /// Nobody comes back to an inference: its key was made for it alone.
  package var endsWithOwner: Bool { purpose == .inference }

  package var isKept: Bool { purpose == .hosting }

  package var narrowsValues: Bool { precision.narrowsValues }

  /// Also what a trainer of wire version 2 has written.
  package init(stored decoder: any Decoder) throws {
    enum Model: CodingKey { case graph }
    let hasGraph = try decoder.container(keyedBy: Model.self).contains(.graph)
    self = try hasGraph ? JobDescription(from: decoder) : JobDescriptionVersion2(from: decoder).description
  }
}

/// A job of training as it is written to the store.
typealias TrainingJob = StoredJob<JobDescription>

typealias TrainingStore = JobStore<JobDescription>

typealias TrainerOutbox<Element: FloatingElement> = Outbox<TrainerMessage<Element>, TrainingEvent>

extension JobStore<JobDescription> {
  /// Leftovers are removed by `load` alone: later the service asks for a job's checkpoints while its runner writes one.
  func checkpoints(of id: JobID) throws -> CheckpointStore {
    try CheckpointStore(directory: path(of: id).path, removingLeftovers: false)
  }
}

/// What the service thread keeps in memory of one job of training or inference.
struct TrainingState<Element: FloatingElement> {
  /// Of the model; nil for a job that an earlier process admitted.
  var parameterCount: Int?
  /// Starting weights while they arrive.
  var upload: ParameterUpload<Element>?
  /// Rows, labels and plan while they arrive, where the loss is computed here.
  var data: UploadedData<Element>?
  /// Steps of history that the owner holds which is attached.
  var historySteps = 0
  /// The connection that fetches the result.
  var retriever: PeerID?
  /// Loaded while the owner retrieves.
  var result: WeightRetrieval<Element>?
}

/// Training and masked inference as a role of the service.
final class TrainingHandler<Element: FloatingElement>: JobHandler {
  typealias RoleEvent = TrainingEvent
  typealias TrainingService = JobService<TrainingHandler<Element>>

  static var program: String { TrainerConfiguration.program }

  let configuration: TrainerConfiguration
  let deployments: Deployments<Element>

  init(_ configuration: TrainerConfiguration) {
    self.configuration = configuration
    deployments = Deployments(configuration)
  }

  static func submission(in request: OwnerMessage<Element>) -> JobDescription? {
    if case .submit(let description) = request { return description }
    return nil
  }

  /// Joins progress to progress, so that fast steps do not fill an owner's queue.
  static func merge(_ later: TrainerMessage<Element>, into earlier: inout TrainerMessage<Element>) -> Bool {
    guard case .progress(let from, let records) = later, case .progress(let first, var known) = earlier,
      first + known.count == from, known.count + records.count <= ProgressRecord.maxPerMessage
    else { return false }
    // Taken out first, so that the records are appended in place.
    earlier = .pong
    known += records
    earlier = .progress(from: first, records: known)
    return true
  }

  static func stepsDone(in answer: TrainerMessage<Element>) -> Int? {
    switch answer {
    case .stepApplied(let step, _, _): return step + 1
    case .progress(_, let records):
      for case .step(let step, _, _, _, _) in records.reversed() { return step + 1 }
      return nil
    default: return nil
    }
  }

  static func work(in request: OwnerMessage<Element>) -> OwnersWork {
    switch request {
    case .batch, .gradient, .step: .ofStep
    case .evaluate: .besideSteps
    default: .none
    }
  }

  static func isForFollowers(_ answer: TrainerMessage<Element>) -> Bool {
    if case .progress = answer { return true }
    return false
  }

  /// A rank that is gone is needed for every job.
  var canRunJobs: Bool { configuration.communicator.failure == nil }

  func greeting(for owner: OwnerKey, limits: OwnerLimits) -> TrainerMessage<Element> {
    .welcome(
      TrainerGreeting(
        software: configuration.software, kernel: OpenBLAS.kernelName, threads: configuration.compute.workers.threads,
        memoryLimit: min(configuration.memoryLimit, limits.memory ?? .max)))
  }

  // MARK: - Admission

  func admit(_ description: JobDescription, limits: OwnerLimits) throws -> Admission<TrainingState<Element>> {
    let model = Model(description.graph)
    let parameters = try JobAdmission<Element>(
      configuration: configuration, limits: limits, largestMessage: configuration.service.limits.tensorBytes
    ).admit(description, model)
    return Admission(
      state: TrainingState(parameterCount: parameters),
      diskNeeded: JobDisk<Element>.bytesNeeded(description, model))
  }

  func state(of job: TrainingJob) -> TrainingState<Element> {
    TrainingState()
  }

  func diskNeeded(by description: JobDescription) throws -> Int? {
    JobDisk<Element>.bytesNeeded(description, Model(description.graph))
  }

  func memoryNeeded(by description: JobDescription) -> Int? {
    JobAdmission<Element>.memoryNeeded(description, Model(description.graph), replicas: configuration.replicas)
  }

  /// Also of one job: a larger one is not admitted.
  var memoryLimit: Int { configuration.memoryLimit }

  // MARK: - Running

  func run(_ job: JobRecord<TrainingHandler>, in service: TrainingService) -> JobRunner<Element>? {
    JobRunner(
      job: job.stored, configuration: configuration, store: service.store, outbox: service.outbox,
      historySteps: job.isAutonomous ? .max : job.state.historySteps)
  }

  func savedSteps(of id: JobID, in store: TrainingStore) -> Int {
    (try? store.checkpoints(of: id).steps().last) ?? 0
  }

  func kernels(of id: JobID, in store: TrainingStore) -> [KernelUse]? {
    (try? KernelHistory(in: store.path(of: id)))?.told
  }

  // MARK: - Requests

  func handle(
    _ request: OwnerMessage<Element>, of id: JobID, from peer: PeerID, in service: TrainingService
  ) throws {
    switch request {
    case .parameters(let chunk, let values): try upload(values, chunk: chunk, to: id, from: peer, in: service)
    case .attach(let historySteps): try attach(id, historySteps: historySteps, from: peer, in: service)
    case .storeSequences(let first, let lengths, let pooled, let values):
      try store(id, from: peer, in: service) {
        try $0.storeSequences(firstSlot: first, lengths: lengths, pooled: pooled, values)
      }
    case .storeRows(let first, let values):
      try store(id, from: peer, in: service) { try $0.storeRows(firstSlot: first, values) }
    case .storeTargets(let first, let targets):
      try store(id, from: peer, in: service) { try $0.storeTargets(firstSlot: first, targets) }
    case .storePlan(let first, let slots):
      try store(id, from: peer, in: service) { try $0.storePlan(firstStep: first, slots) }
    case .start: try start(id, from: peer, in: service)
    case .follow(let first): try follow(id, from: first, peer: peer, in: service)
    case .retrieve(let chunk): try retrieve(id, chunk: chunk, from: peer, in: service)
    default: try forwardToRunner(request, of: id, from: peer, in: service)
    }
  }

  /// Takes the job up for an owner that holds the history of so many steps.
  private func attach(_ id: JobID, historySteps: Int, from peer: PeerID, in service: TrainingService) throws {
    guard let record = service.jobs[id] else { return }
    switch record.stored.phase {
    case .uploading: throw WireError.outOfOrder("attach before the starting weights are uploaded")
    case .failed: throw ServiceError(.refused, record.stored.failure ?? "the job failed")
    case .ready where record.isHosted: throw WireError.outOfOrder("attach to a model that is hosted")
    case .finished:
      service.tell(.finished, job: id, to: peer)
      return
    case .ready: break
    }
    guard !record.isAutonomous else { throw WireError.outOfOrder("attach to a job that needs no owner") }
    // One that could not go on is not to end the one that does.
    if service.runner(of: id) != nil { _ = try service.store.checkpoints(of: id).start(historySteps: historySteps) }
    service.jobs[id]?.state.historySteps = historySteps
    service.attach(id, to: peer)
  }

  private func forwardToRunner(
    _ message: OwnerMessage<Element>, of id: JobID, from peer: PeerID, in service: TrainingService
  ) throws {
    guard let record = service.jobs[id], record.peer == peer else {
      if case .leave = message { return }
      throw ServiceError.refused(TrainingService.takenOver)
    }
    guard let runner = service.runner(of: id), record.isAttached else {
      if case .leave = message {
        service.detach(id, reason: .ownerLost)
        return
      }
      throw WireError.outOfOrder("the job is not running; attach first")
    }
    guard runner.inbox.post(message) else {
      service.detach(id, reason: .ownerLost)
      throw WireError.outOfOrder("more messages than the window allows")
    }
  }
}
