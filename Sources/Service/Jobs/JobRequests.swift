package import Foundations
import Numerics
package import Protocol

extension JobService {
  /// Does what a message asks for if its owner is listed, at once or after the job's disk work.
  ///
  /// Guests (see `JobHandler.isGuest`) are greeted, and ask what the role has for them; for all else there is nothing here for them.
  func admit(_ request: ServiceRequest<Handler.Request>, job id: JobID, from peer: PeerID) throws {
    if case .role(let request) = request, Handler.subject(of: request) == .guests {
      return try handler.handle(request, beside: id, from: peer, in: self)
    }
    guard configuration.owners.limits(of: peer.ownerKey) != nil else {
      guard handler.isGuest(peer.ownerKey) else { throw ServiceError.notListed(by: Handler.program) }
      guard case .conversation(let request) = request,
        ServiceRequest<Handler.Request>.conversation(request).isAboutConnection
      else { throw ServiceError.noSuchJob(at: Handler.program) }
      return try handle(request, job: id, from: peer)
    }
    if !request.isAboutConnection, try postpone(request, job: id, from: peer) { return }
    switch request {
    case .conversation(let request): try handle(request, job: id, from: peer)
    case .role(let request):
      if let content = Handler.submission(in: request) {
        try submit(content, id: id, from: peer)
      } else if Handler.subject(of: request) == .owners {
        try handler.handle(request, beside: id, from: peer, in: self)
      } else {
        try checkAccess(to: id, of: peer.ownerKey)
        try handler.handle(request, of: id, from: peer, in: self)
        // What was refused, and questions about the job, let no step go on.
        if jobs[id]?.peer == peer { note(Handler.work(in: request), for: id) }
      }
    }
  }

  private func handle(_ request: ConversationRequest, job id: JobID, from peer: PeerID) throws {
    switch request {
    case .hello(let software):
      connections.greets(peer)
      let event = LoggedEvent(.connectionAdmitted, owner: peer.ownerKey)
      configuration.eventLog?.note(event)
      if lineThrottle.admit(event, at: clock.now) != nil {
        observe(.ownerGreeted(owner: peer.ownerKey.prefix, software: software))
      }
      let limits = configuration.owners.limits(of: peer.ownerKey) ?? OwnerLimits()
      send(handler.greeting(for: peer.ownerKey, limits: limits), job: id, to: peer)
    case .ping: tell(.pong, job: id, to: peer)
    case .status:
      try checkAccess(to: id, of: peer.ownerKey)
      tellStatus(of: id, to: peer)
    case .cancel:
      try checkRemoval(of: id, by: peer.ownerKey)
      try cancel(id, for: peer)
    case .release:
      try checkRemoval(of: id, by: peer.ownerKey)
      try remove(id, as: .released, reason: "its owner holds the result", for: peer)
    }
  }

  /// - Throws: `ServiceError` for a job that is not there, or is another owner's: both look the same from outside.
  private func checkAccess(to id: JobID, of key: OwnerKey) throws(ServiceError) {
    guard let record = jobs[id], handler.admits(key, to: record) else {
      throw ServiceError.noSuchJob(at: Handler.program)
    }
  }

  private func checkRemoval(of id: JobID, by key: OwnerKey) throws {
    try checkAccess(to: id, of: key)
    if let record = jobs[id] { try handler.checkRemoval(of: record, by: key) }
  }

  package func tellStatus(of id: JobID, to peer: PeerID) {
    var status = status(of: id)
    // A program of before does not know the word.
    if status.state == .hosted, connections.version(of: peer) < .five { status.state = .waitingForOwner }
    tell(.status(status), job: id, to: peer)
  }

  private func submit(_ content: Handler.Content, id: JobID, from peer: PeerID) throws {
    guard id != .none else { throw WireError.invalidJob("the job has no id") }
    guard let known = jobs[id] else { return try submitNew(content, id: id, from: peer) }
    try checkAccess(to: id, of: peer.ownerKey)
    guard known.stored.description == content else {
      throw ServiceError.refused("a job of this id but another description is stored here")
    }
    // A run submits its job more than once on a connection: to upload, and to train.
    if known.submitter != peer {
      try configuration.eventLog?.require(LoggedEvent(.resumed, owner: peer.ownerKey, job: id))
      jobs[id]?.submitter = peer
    }
    // A runner goes on speaking to whom it was started for, until an attachment ends it.
    if active[id] == nil { handOver(id, to: peer) }
    handler.submitted(id, isNew: false, from: peer, in: self)
  }

  private func submitNew(_ content: Handler.Content, id: JobID, from peer: PeerID) throws {
    // Of whomever it is: it looks like another owner's job.
    guard !handler.isTaken(id) else { throw ServiceError.noSuchJob(at: Handler.program) }
    let limits = configuration.owners.limits(of: peer.ownerKey) ?? OwnerLimits()
    try checkQueue(limits, of: peer.ownerKey)
    let admission = try handler.admit(content, limits: limits)
    try checkDisk(limits, needed: admission.diskNeeded, of: peer.ownerKey)
    try configuration.eventLog?.require(LoggedEvent(.submitted, owner: peer.ownerKey, job: id))
    let stored = StoredJob(id: id, owner: peer.ownerKey.z85, description: content, phase: .uploading)
    var record = JobRecord<Handler>(stored: stored, peer: peer, state: admission.state)
    record.diskNeeded = admission.diskNeeded
    record.submitter = peer
    jobs[id] = record
    onDisk(id, for: peer) { [store] in
      try store.save(stored)
    } then: { [unowned self] result in
      if case .failure = result { jobs[id] = nil }
      try result.get()
      handler.submitted(id, isNew: true, from: peer, in: self)
    }
  }

  /// - Throws: `ServiceError` that names the limit, when the owner has as many jobs waiting as it may.
  private func checkQueue(_ limits: OwnerLimits, of owner: OwnerKey) throws {
    guard let limit = limits.queue else { return }
    let waiting = jobs.values.count { $0.owner == owner && active[$0.id] == nil && $0.isOpen }
    guard waiting < limit else {
      throw ServiceError.refused(
        "this owner has \(waiting) jobs waiting, and its limit here is \(limit) (queue=\(limit)); wait for one to finish, or cancel one",
        cause: .queue)
    }
  }

  /// Counts what jobs hold already or, while they may still grow, what they may come to hold.
  ///
  /// - Throws: `ServiceError` that states the numbers, when the owner's jobs would together take more disk than it may.
  private func checkDisk(_ limits: OwnerLimits, needed: Int?, of owner: OwnerKey) throws {
    guard let limit = limits.disk else { return }
    let held = try Shape.sum(
      jobs.values.filter { $0.owner == owner }.map { record in
        let stored = store.storedBytes(of: record.id)
        return record.isOpen ? try diskNeeded(by: record).map { max($0, stored) } : stored
      })
    guard let held, let needed, let sum = Shape.sum([held, needed]), sum <= limit else {
      throw ServiceError.refused(
        "the job needs \(ByteSize.binaryText(needed)) of disk beside \(ByteSize.binaryText(held)) of this owner's "
          + "jobs here, and its limit is \(ByteSize.binaryText(limit)) (disk=); cancel or retrieve others, or train on fewer rows",
        cause: .disk)
    }
  }

  /// Worked out once a job: at admission, or for a job that an earlier process admitted, when it is first asked for.
  private func diskNeeded(by record: JobRecord<Handler>) throws -> Int? {
    if let known = record.diskNeeded { return known }
    let needed = try handler.diskNeeded(by: record.stored.description)
    jobs[record.id]?.diskNeeded = needed
    return needed
  }
}
