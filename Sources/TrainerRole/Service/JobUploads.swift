import Models
import Files
import Foundations
import Foundation
import Numerics
import Training
import Protocol

extension TrainerService {
  /// Takes a chunk of starting weights; the last one makes them durable as the checkpoint of step 0.
  func upload(_ values: Tensor<Element>, chunk: Int, to id: JobID, from peer: PeerID) throws {
    guard var upload = jobs[id]?.upload, let record = jobs[id] else {
      throw WireError.outOfOrder("weights for a job that has them")
    }
    // After a refusal the upload starts over.
    jobs[id]?.upload = nil
    onDisk(id, for: peer) { [store] in
      let isComplete = try upload.place(values, chunk: chunk)
      var stored = record.stored
      if isComplete, !record.isAutonomous {
        stored.phase = .ready
        try store.save(stored)
      }
      return (upload, isComplete, stored)
    } then: { [unowned self] result in
      let (upload, isComplete, stored) = try result.get()
      jobs[id]?.stored = stored
      if !isComplete { jobs[id]?.upload = upload }
      send(.stored(count: upload.received), job: id, to: peer)
    }
  }

  /// Takes rows, labels or plan of a job whose loss is computed here.
  func store(
    _ id: JobID, from peer: PeerID, _ part: @escaping (inout UploadedData<Element>) throws -> Int
  ) throws {
    guard let record = jobs[id], record.isAutonomous, record.stored.phase == .uploading else {
      throw WireError.outOfOrder("rows for a job that does not take them")
    }
    onDisk(id, for: peer) { [store] in
      var data: UploadedData<Element>
      if let known = record.data {
        data = known
      } else {
        let model = Model(record.stored.description.graph)
        data = try UploadedData(
          description: record.stored.description, width: model.inputWidth, outputs: model.outputWidth,
          folder: store.path(of: id))
      }
      let count = try part(&data)
      return (data, count)
    } then: { [unowned self] result in
      let (data, count) = try result.get()
      jobs[id]?.data = data
      send(.stored(count: count), job: id, to: peer)
    }
  }

  /// Everything is here: the job can run without its owner. Also takes up again a job that a passing cause had stopped.
  func start(_ id: JobID, from peer: PeerID) throws {
    guard let record = jobs[id], record.isAutonomous else {
      throw WireError.outOfOrder("start of a job whose loss its owner computes")
    }
    guard record.stored.phase == .uploading else {
      enqueue(id)
      send(.status(status(of: id)), job: id, to: peer)
      return
    }
    guard let data = record.data, data.isComplete, try !store.checkpoints(of: id).steps().isEmpty else {
      throw WireError.outOfOrder("start before everything is uploaded")
    }
    onDisk(id, for: peer) { [store] in
      try data.sync()
      var stored = record.stored
      stored.phase = .ready
      try store.save(stored)
      return stored
    } then: { [unowned self] result in
      jobs[id]?.stored = try result.get()
      jobs[id]?.data = nil
      enqueue(id)
      send(.status(status(of: id)), job: id, to: peer)
    }
  }

  /// Sends the history from record `first` on, and from then on as it comes; of a long one only the first part, and then the
  /// owner asks again.
  func follow(_ id: JobID, from first: Int, peer: PeerID) throws {
    guard let record = jobs[id], record.isAutonomous else {
      throw WireError.outOfOrder("history of a job whose loss its owner computes")
    }
    let records = try RecordLog.records(in: store.path(of: id))
    var next = min(first, records.count)
    let end = min(records.count, next + ProgressRecord.largestAnswer)
    handOver(id, to: peer)
    jobs[id]?.follows = end == records.count
    repeat {
      let part = Array(records[next..<end].prefix(ProgressRecord.largestMessage))
      send(.progress(from: next, records: part), job: id, to: peer)
      next += part.count
    } while next < end
    send(.status(status(of: id)), job: id, to: peer)
  }

  /// Answers with one chunk of a finished job's weights.
  func retrieve(_ id: JobID, chunk: Int, from peer: PeerID) throws {
    guard let record = jobs[id] else { return }
    guard record.stored.phase == .finished else { throw WireError.outOfOrder("the job is not finished") }
    // Once a connection, whichever chunk it begins with.
    if record.retriever != peer {
      let isLogged = configuration.audit?.note(AuditEvent(.retrieved, owner: peer.ownerKey, job: id)) ?? true
      guard isLogged else {
        throw TrainerError(.exhausted, "the trainer cannot write its audit log; ask its operator", cause: .auditLog)
      }
      jobs[id]?.retriever = peer
    }
    onDisk(id, for: peer) { [store] in
      do {
        let result = try record.result ?? JobCheckpoints(record.stored, in: store).result()
        return (result, try result.chunk(chunk))
      } catch let error as CheckpointError {
        throw TrainerError(ofStoredFiles: error)
      }
    } then: { [unowned self] result in
      let (weights, values) = try result.get()
      jobs[id]?.result = weights
      send(.parameters(chunk: chunk, values: values), job: id, to: peer)
    }
  }
}
