import Models
import Files
import Foundations
import Foundation
import Numerics
import Training
import Protocol
import Service

extension TrainingHandler {
  func submitted(_ id: JobID, isNew: Bool, from peer: PeerID, in service: TrainingService) {
    if isNew, let record = service.jobs[id] {
      service.observe(
        .role(
          .jobAccepted(
            job: id, owner: peer.ownerKey.prefix, parameters: record.state.parameterCount ?? 0,
            steps: record.stored.description.totalSteps)))
    }
    acknowledge(id, to: peer, in: service)
  }

  /// Tells the owner what of its upload is still due.
  private func acknowledge(_ id: JobID, to peer: PeerID, in service: TrainingService) {
    guard let record = service.jobs[id] else { return }
    service.onDisk(id, for: peer) { [store = service.store] in
      var stored = record.stored
      if stored.description.isKept, try JobCheckpoints<Element>(stored, in: store).removeDamaged() {
        // A hosted copy whose owner is here to send it again.
        stored.phase = .uploading
        try store.save(stored)
      }
      let hasWeights = try !store.checkpoints(of: id).steps().isEmpty
      // A kill between the two writes leaves the weights stored and the job uploading.
      if hasWeights, stored.phase == .uploading, !record.isAutonomous {
        stored.phase = .ready
        try store.save(stored)
      }
      let isOpen = stored.phase == .uploading || stored.phase == .ready
      // A new connection uploads weights and labels from the first chunk; rows and plan go on.
      return (stored, hasWeights, isOpen && !hasWeights ? try JobCheckpoints(stored, in: store).beginUpload() : nil)
    } then: { [unowned service] (result: Result<(TrainingJob, Bool, ParameterUpload<Element>?), any Error>) in
      let (stored, hasWeights, upload) = try result.get()
      // Its run may have ended meanwhile.
      if record.stored.phase == .uploading || record.stored.description.isKept { service.jobs[id]?.stored = stored }
      if stored.phase == .uploading || stored.phase == .ready {
        service.jobs[id]?.state.upload = upload
        service.jobs[id]?.state.data?.restartTargets()
      }
      let data = service.jobs[id]?.state.data
      service.send(
        .accepted(
          missingParameters: !hasWeights, storedRows: data?.storedRows ?? 0, storedSteps: data?.storedSteps ?? 0),
        job: id, to: peer)
    }
  }

  /// Takes a chunk of starting weights; the last one makes them durable as the checkpoint of step 0.
  func upload(_ values: Tensor<Element>, chunk: Int, to id: JobID, from peer: PeerID, in service: TrainingService)
    throws
  {
    guard var upload = service.jobs[id]?.state.upload, let record = service.jobs[id] else {
      throw WireError.outOfOrder("weights for a job that has them")
    }
    // After a refusal the upload starts over.
    service.jobs[id]?.state.upload = nil
    service.onDisk(id, for: peer) { [store = service.store] in
      let isComplete = try upload.place(values, chunk: chunk)
      var stored = record.stored
      if isComplete, !record.isAutonomous {
        stored.phase = .ready
        try store.save(stored)
      }
      return (upload, isComplete, stored)
    } then: { [unowned service] result in
      let (upload, isComplete, stored) = try result.get()
      service.jobs[id]?.stored = stored
      if !isComplete { service.jobs[id]?.state.upload = upload }
      service.send(.stored(count: upload.received), job: id, to: peer)
    }
  }

  /// Takes rows, labels or plan of a job whose loss is computed here.
  func store(
    _ id: JobID, from peer: PeerID, in service: TrainingService,
    _ part: @escaping (inout UploadedData<Element>) throws -> Int
  ) throws {
    guard let record = service.jobs[id], record.isAutonomous, record.stored.phase == .uploading else {
      throw WireError.outOfOrder("rows for a job that does not take them")
    }
    service.onDisk(id, for: peer) { [store = service.store] in
      var data: UploadedData<Element>
      if let known = record.state.data {
        data = known
      } else {
        let model = Model(record.stored.description.graph)
        data = try UploadedData(
          description: record.stored.description, width: model.inputWidth, outputs: model.outputWidth,
          folder: store.path(of: id))
      }
      let count = try part(&data)
      return (data, count)
    } then: { [unowned service] result in
      let (data, count) = try result.get()
      service.jobs[id]?.state.data = data
      service.send(.stored(count: count), job: id, to: peer)
    }
  }

  /// Everything is here: the job can run without its owner. Also restarts a job that a temporary cause had stopped.
  func start(_ id: JobID, from peer: PeerID, in service: TrainingService) throws {
    guard let record = service.jobs[id], record.isAutonomous else {
      throw WireError.outOfOrder("start of a job whose loss its owner computes")
    }
    guard record.stored.phase == .uploading else {
      service.enqueue(id)
      service.tellStatus(of: id, to: peer)
      return
    }
    guard let data = record.state.data, data.isComplete, try !service.store.checkpoints(of: id).steps().isEmpty else {
      throw WireError.outOfOrder("start before everything is uploaded")
    }
    service.onDisk(id, for: peer) { [store = service.store] in
      try data.sync()
      var stored = record.stored
      stored.phase = .ready
      try store.save(stored)
      return stored
    } then: { [unowned service] result in
      service.jobs[id]?.stored = try result.get()
      service.jobs[id]?.state.data = nil
      service.enqueue(id)
      service.tellStatus(of: id, to: peer)
    }
  }

  /// Sends the history from record `first` on, and from then on as it comes; of a long one only the first part, and then the
  /// owner asks again.
  func follow(_ id: JobID, from first: Int, peer: PeerID, in service: TrainingService) throws {
    guard let record = service.jobs[id], record.isAutonomous else {
      throw WireError.outOfOrder("history of a job whose loss its owner computes")
    }
    let records = try RecordLog.records(in: service.store.path(of: id))
    var next = min(first, records.count)
    let end = min(records.count, next + ProgressRecord.maxPerAnswer)
    service.handOver(id, to: peer)
    service.jobs[id]?.follows = end == records.count
    repeat {
      let part = Array(records[next..<end].prefix(ProgressRecord.maxPerMessage))
      service.send(.progress(from: next, records: part), job: id, to: peer)
      next += part.count
    } while next < end
    service.tellStatus(of: id, to: peer)
  }

  /// Answers with one chunk of a finished job's weights.
  func retrieve(_ id: JobID, chunk: Int, from peer: PeerID, in service: TrainingService) throws {
    guard let record = service.jobs[id] else { return }
    guard record.stored.phase == .finished else { throw WireError.outOfOrder("the job is not finished") }
    // Once a connection, whichever chunk it begins with.
    if record.state.retriever != peer {
      let isLogged =
        configuration.service.eventLog?.note(LoggedEvent(.retrieved, owner: peer.ownerKey, job: id)) ?? true
      guard isLogged else {
        throw ServiceError(.exhausted, "the trainer cannot write its event log; ask its operator", cause: .eventLog)
      }
      service.jobs[id]?.state.retriever = peer
    }
    service.onDisk(id, for: peer) { [store = service.store] in
      do {
        let result = try record.state.result ?? JobCheckpoints(record.stored, in: store).result()
        return (result, try result.chunk(chunk))
      } catch let error as FileError {
        throw ServiceError(ofStoredFiles: error)
      }
    } then: { [unowned service] result in
      let (weights, values) = try result.get()
      service.jobs[id]?.state.result = weights
      service.send(.parameters(chunk: chunk, values: values), job: id, to: peer)
    }
  }
}
