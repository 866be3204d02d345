import Models
import Files
import Foundations
import Foundation
import Numerics
import Training
import Protocol

extension TrainerService {
  /// What each message asks for; throws what the owner is told as a refusal.
  func handle(_ message: OwnerMessage<Element>, job id: JobID, from peer: PeerID) throws {
    switch message {
    case .hello(let software):
      broken[peer] = nil
      configuration.audit?.note(AuditEvent(.connectionAdmitted, owner: peer.ownerKey))
      observe(.ownerGreeted(owner: peer.ownerKey.prefix, software: software))
      send(
        .welcome(
          TrainerGreeting(
            software: configuration.software, kernel: OpenBLAS.kernelName,
            threads: configuration.compute.workers.threads,
            memoryLimit: min(
              configuration.memoryLimit, configuration.owners.limits(of: peer.ownerKey)?.memory ?? .max))), job: id,
        to: peer)
      return
    case .ping:
      send(.pong, job: id, to: peer)
      return
    case .submit(let description):
      try submit(description, id: id, from: peer)
      return
    default: break
    }
    guard jobs[id]?.peer.ownerKey == peer.ownerKey else { throw TrainerError.noSuchJob }
    switch message {
    case .parameters(let chunk, let values): try upload(values, chunk: chunk, to: id, from: peer)
    case .attach(let historySteps): try attach(id, historySteps: historySteps, from: peer)
    case .storeSequences(let first, let lengths, let pooled, let values):
      try store(id, from: peer) {
        try $0.storeSequences(firstSlot: first, lengths: lengths, pooled: pooled, values)
      }
    case .storeRows(let first, let values):
      try store(id, from: peer) { try $0.storeRows(firstSlot: first, values) }
    case .storeTargets(let first, let targets):
      try store(id, from: peer) { try $0.storeTargets(firstSlot: first, targets) }
    case .storePlan(let first, let slots):
      try store(id, from: peer) { try $0.storePlan(firstStep: first, slots) }
    case .start: try start(id, from: peer)
    case .follow(let first): try follow(id, from: first, peer: peer)
    case .retrieve(let chunk): try retrieve(id, chunk: chunk, from: peer)
    case .status: send(.status(status(of: id)), job: id, to: peer)
    case .cancel: try cancel(id, for: peer)
    case .release: try remove(id, as: .released, reason: "its owner holds the result", for: peer)
    default: try forwardToRunner(message, job: id, from: peer)
    }
  }

  private func forwardToRunner(_ message: OwnerMessage<Element>, job id: JobID, from peer: PeerID) throws {
    guard jobs[id]?.peer == peer else {
      if case .leave = message { return }
      throw TrainerError.refused(Self.takenOver)
    }
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

  /// What a connection is told that has lost its job to another one.
  private static var takenOver: String { "another connection of this owner has taken the job over" }

  /// Makes `peer` the connection that hears of the job. The one before, if it waits for anything, is told: it would wait for ever.
  func handOver(_ id: JobID, to peer: PeerID) {
    guard let record = jobs[id], record.peer != peer else { return }
    jobs[id]?.peer = peer
    guard record.attachedHistory != nil || record.follows else { return }
    jobs[id]?.follows = false
    if !record.isAutonomous, active?.job != id {
      // It was in line for the connection that has lost it.
      jobs[id]?.attachedHistory = nil
      queue.removeAll { $0 == id }
    }
    if isConnected(record.peer) { send(.refused(kind: .refused, reason: Self.takenOver), job: id, to: record.peer) }
  }

  private func submit(_ description: JobDescription, id: JobID, from peer: PeerID) throws {
    guard id != .none else { throw WireError.invalidJob("the job has no id") }
    if let known = jobs[id] {
      guard known.peer.ownerKey == peer.ownerKey else { throw TrainerError.noSuchJob }
      guard known.stored.description == description else {
        throw TrainerError.refused("a job of this id but another description is stored here")
      }
      // A run submits its job more than once on a connection: to upload, and to train.
      if known.submitter != peer {
        try configuration.audit?.require(AuditEvent(.resumed, owner: peer.ownerKey, job: id))
        jobs[id]?.submitter = peer
      }
      // A runner goes on speaking to whom it was started for, until an attachment ends it.
      if active?.job != id { handOver(id, to: peer) }
    } else {
      let limits = configuration.owners.limits(of: peer.ownerKey) ?? OwnerLimits()
      try checkQueue(limits, of: peer.ownerKey)
      let model = Model(description.graph)
      let parameters = try JobAdmission<Element>(
        configuration: configuration, limits: limits, largestMessage: codec.limits.tensorBytes
      ).admit(description, model)
      let diskNeeded = JobDisk<Element>.bytesNeeded(description, model)
      try checkDisk(limits, needed: diskNeeded, of: peer.ownerKey)
      try configuration.audit?.require(AuditEvent(.submitted, owner: peer.ownerKey, job: id))
      let stored = StoredJob(
        id: id, owner: peer.ownerKey.z85, description: description, phase: .uploading, failure: nil)
      jobs[id] = JobRecord(stored: stored, peer: peer, diskNeeded: diskNeeded, submitter: peer)
      onDisk(id, for: peer) { [store] in
        try store.save(stored)
      } then: { [unowned self] result in
        if case .failure = result { jobs[id] = nil }
        try result.get()
        observe(
          .jobAccepted(
            job: id, owner: peer.ownerKey.prefix, parameters: parameters, steps: description.totalSteps))
        acknowledge(id, to: peer)
      }
      return
    }
    acknowledge(id, to: peer)
  }

  /// Tells the owner what of its upload is still due.
  private func acknowledge(_ id: JobID, to peer: PeerID) {
    guard let record = jobs[id] else { return }
    onDisk(id, for: peer) { [store] in
      var stored = record.stored
      let hasWeights = try !store.checkpoints(of: id).steps().isEmpty
      // A kill between the two writes leaves the weights stored and the job uploading.
      if hasWeights, stored.phase == .uploading, !record.isAutonomous {
        stored.phase = .ready
        try store.save(stored)
      }
      let isOpen = stored.phase == .uploading || stored.phase == .ready
      // A new connection uploads weights and labels from the first chunk; rows and plan go on.
      return (stored, hasWeights, isOpen && !hasWeights ? try JobCheckpoints(stored, in: store).beginUpload() : nil)
    } then: { [unowned self] (result: Result<(StoredJob, Bool, ParameterUpload<Element>?), any Error>) in
      let (stored, hasWeights, upload) = try result.get()
      // Its run may have ended meanwhile.
      if record.stored.phase == .uploading { jobs[id]?.stored = stored }
      if stored.phase == .uploading || stored.phase == .ready {
        jobs[id]?.upload = upload
        jobs[id]?.data?.restartTargets()
      }
      let data = jobs[id]?.data
      send(
        .accepted(
          missingParameters: !hasWeights, storedRows: data?.storedRows ?? 0, storedSteps: data?.storedSteps ?? 0),
        job: id, to: peer)
    }
  }

  /// - Throws: `TrainerError` that names the limit, when the owner has as many jobs waiting as it may.
  private func checkQueue(_ limits: OwnerLimits, of owner: OwnerKey) throws {
    guard let limit = limits.queue else { return }
    let waiting = jobs.values.count { record in
      guard record.peer.ownerKey == owner, active?.job != record.id else { return false }
      return record.stored.phase == .uploading || record.stored.phase == .ready
    }
    guard waiting < limit else {
      throw TrainerError.refused(
        "this owner has \(waiting) jobs waiting, and its limit here is \(limit) (queue=\(limit)); wait for one to finish, or cancel one",
        cause: .queue)
    }
  }

  /// Counts what jobs hold already or, while they may still grow, what they may come to hold.
  ///
  /// - Throws: `TrainerError` that states the numbers, when the owner's jobs would together take more disk than it may.
  private func checkDisk(_ limits: OwnerLimits, needed: Int?, of owner: OwnerKey) throws {
    guard let limit = limits.disk else { return }
    let own = jobs.values.filter { $0.peer.ownerKey == owner }
    let held = Shape.sum(
      own.map { record in
        let stored = store.storedBytes(of: record.id)
        let isGrowing = record.stored.phase == .uploading || record.stored.phase == .ready
        guard isGrowing else { return stored }
        return diskNeeded(by: record).map { max($0, stored) }
      })
    guard let held, let needed, let sum = Shape.sum([held, needed]), sum <= limit else {
      throw TrainerError.refused(
        "the job needs \(ByteSize.binaryText(needed)) of disk beside \(ByteSize.binaryText(held)) of this owner's "
          + "jobs here, and its limit is \(ByteSize.binaryText(limit)) (disk=); cancel or retrieve others, or train on fewer rows",
        cause: .disk)
    }
  }

  /// Worked out once a job: at admission, or for a job that an earlier process admitted, when it is first asked for.
  private func diskNeeded(by record: JobRecord<Element>) -> Int? {
    if let known = record.diskNeeded { return known }
    let description = record.stored.description
    let needed = JobDisk<Element>.bytesNeeded(description, Model(description.graph))
    jobs[record.id]?.diskNeeded = needed
    return needed
  }
}
