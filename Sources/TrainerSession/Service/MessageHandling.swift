import Architecture
import Checkpoints
import Foundation
import Tensors
import Training
import Transport
import Wire

extension TrainerService {
  /// What each message asks for; throws what the owner is told as a refusal.
  func handle(_ message: OwnerMessage<Element>, job id: JobID, from peer: PeerID) throws {
    switch message {
    case .hello(let software):
      observe(.ownerGreeted(owner: peer.ownerKey.prefix, software: String(software.prefix(80))))
      send(
        .welcome(
          TrainerGreeting(
            software: configuration.software, kernel: OpenBLAS.kernelName, threads: configuration.workers.threads,
            memoryLimit: configuration.memoryLimit)), job: id, to: peer)
      return
    case .ping:
      // An owner that waits for a job which is not attached any more must attach again.
      let record = jobs[id].flatMap { $0.peer == peer && $0.isCutOff ? $0 : nil }
      send(record.map { .goodbye(step: $0.step) } ?? .pong, job: id, to: peer)
      return
    case .submit(let description):
      try submit(description, id: id, from: peer)
      return
    default: break
    }
    guard var record = jobs[id], record.peer.ownerKey == peer.ownerKey else { throw TrainerError.noSuchJob }
    record.peer = peer
    jobs[id] = record
    switch message {
    case .parameters(let chunk, let values): try upload(values, chunk: chunk, to: id)
    case .attach(let historySteps): try attach(id, historySteps: historySteps)
    case .storeRows(let first, let values):
      try store(id) { try $0.storeRows(firstSlot: first, values) }
    case .storeTargets(let first, let targets):
      try store(id) { try $0.storeTargets(firstSlot: first, targets) }
    case .storePlan(let first, let slots):
      try store(id) { try $0.storePlan(firstStep: first, slots) }
    case .start: try start(id)
    case .follow(let first): try follow(id, from: first)
    case .retrieve(let chunk): try retrieve(id, chunk: chunk)
    case .status: send(.status(status(of: id)), job: id, to: peer)
    case .cancel: cancel(id)
    case .release: try remove(id, reason: "its owner holds the result")
    default: try forwardToRunner(message, job: id)
    }
  }

  private func forwardToRunner(_ message: OwnerMessage<Element>, job id: JobID) throws {
    guard let active, active.job == id, jobs[id]?.attachedHistory != nil else {
      if case .leave = message {
        detach(id, reason: .ownerLost)
        return
      }
      throw WireError.outOfOrder("the job is not running; attach first")
    }
    guard active.inbox.post(message) else {
      detach(id, reason: .ownerLost)
      throw WireError.outOfOrder("more messages than the window allows")
    }
  }

  private func submit(_ description: JobDescription, id: JobID, from peer: PeerID) throws {
    guard id != .none else { throw WireError.invalidJob("the job has no id") }
    if let known = jobs[id] {
      guard known.peer.ownerKey == peer.ownerKey else { throw TrainerError.noSuchJob }
      guard known.stored.description == description else {
        throw TrainerError.refused("a job of this id but another description is stored here")
      }
      jobs[id]?.peer = peer
      jobs[id]?.isCutOff = false
    } else {
      let parameters = try JobAdmission<Element>(configuration: configuration).admit(description)
      let stored = StoredJob(
        id: id, owner: peer.ownerKey.z85, description: description, phase: .uploading, failure: nil)
      try store.save(stored)
      jobs[id] = JobRecord(stored: stored, peer: peer)
      observe(
        .jobAccepted(
          job: id, owner: peer.ownerKey.prefix, parameters: parameters, steps: description.totalSteps))
    }
    try acknowledge(id)
  }

  /// Tells the owner what of its upload is still due.
  func acknowledge(_ id: JobID) throws {
    guard var record = jobs[id] else { return }
    let hasWeights = try !store.checkpoints(of: id).steps().isEmpty
    if !hasWeights, record.stored.phase == .uploading {
      // A new connection uploads from the first chunk.
      record.upload = ParameterUpload(try Model(record.stored.description.model).structure.parameters)
      jobs[id] = record
    }
    send(
      .accepted(
        missingParameters: !hasWeights, storedRows: record.data?.storedRows ?? 0,
        storedSteps: record.data?.storedSteps ?? 0), job: id, to: record.peer)
  }
}
