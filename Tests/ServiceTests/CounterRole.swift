import Files
import Foundation
import Foundations
import Protocol
import Service

/// The smallest role with jobs that last: an owner submits a counter with a name and where it begins.
struct CounterJob: JobContent {
  let name: String
  let start: Int

  func validate() throws {
    guard !name.isEmpty, name.count <= 80 else { throw WireError.invalidJob("a counter's name has 1 … 80 characters") }
  }
}

enum CounterRequest: WireMessage {
  case submit(CounterJob)
  case add(Int)

  func envelope(for job: JobID) -> Envelope {
    var envelope = Envelope(kind: code, job: job)
    switch self {
    case .submit(let content): envelope.writeJSON(content)
    case .add(let number): envelope.write(number)
    }
    return envelope
  }

  private var code: UInt8 {
    switch self {
    case .submit: 201
    case .add: 202
    }
  }

  init(from envelope: inout OpenedEnvelope) throws(WireError) {
    switch envelope.kind {
    case 201: self = .submit(try envelope.readJSON("counter"))
    case 202: self = .add(try envelope.fields.readIndex())
    default: throw .malformed("an unknown kind of message")
    }
    try envelope.finish()
  }
}

enum CounterAnswer: WireMessage {
  case welcome
  case value(Int)

  func envelope(for job: JobID) -> Envelope {
    switch self {
    case .welcome: return Envelope(kind: 211, job: job)
    case .value(let value):
      var envelope = Envelope(kind: 212, job: job)
      envelope.write(value)
      return envelope
    }
  }

  init(from envelope: inout OpenedEnvelope) throws(WireError) {
    switch envelope.kind {
    case 211: self = .welcome
    case 212: self = .value(try envelope.fields.readIndex())
    default: throw .malformed("an unknown kind of message")
    }
    try envelope.finish()
  }
}

/// Counters that outlive their server: each is a file beside its `job.json`.
final class CounterHandler: JobHandler {
  typealias Content = CounterJob
  typealias Request = CounterRequest
  typealias Answer = CounterAnswer
  typealias State = Void
  typealias RoleEvent = Never
  typealias Runner = NoRunner

  static var program: String { "counter" }

  static func submission(in request: CounterRequest) -> CounterJob? {
    if case .submit(let content) = request { return content }
    return nil
  }

  func greeting(for owner: OwnerKey, limits: OwnerLimits) -> CounterAnswer { .welcome }

  func admit(_ content: CounterJob, limits: OwnerLimits) throws -> Admission<Void> {
    try content.validate()
    return Admission(state: (), diskNeeded: 4096)
  }

  func state(of job: StoredJob<CounterJob>) {}

  func submitted(_ id: JobID, isNew: Bool, from peer: PeerID, in service: JobService<CounterHandler>) {
    answer(id, adding: 0, to: peer, in: service)
  }

  func handle(
    _ request: CounterRequest, of id: JobID, from peer: PeerID, in service: JobService<CounterHandler>
  ) throws {
    if case .add(let number) = request { answer(id, adding: number, to: peer, in: service) }
  }

  private func answer(_ id: JobID, adding number: Int, to peer: PeerID, in service: JobService<CounterHandler>) {
    guard let start = service.jobs[id]?.stored.description.start else { return }
    let path = service.store.path(of: id).appending(path: "value").path
    service.onDisk(id, for: peer) {
      let present = try? String(contentsOfFile: path, encoding: .utf8)
      let (sum, overflow) = (present.flatMap { Int($0) } ?? start).addingReportingOverflow(number)
      guard !overflow else { throw WireError.oversized(what: "counter", size: number, limit: .max) }
      try AtomicFile.write(Data("\(sum)".utf8), to: path)
      return sum
    } then: { [unowned service] result in
      service.send(.value(try result.get()), job: id, to: peer)
    }
  }
}
