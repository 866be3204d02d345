import Dispatch
import Foundation
import Foundations
import Models
import Numerics
import Protocol
import Synchronization
import Training

/// A host of deployments that keeps everything in memory and answers at once, and that tests can make go wrong: what an owner's and a client's
/// side is tried against.
final class HostStandIn<Element: FloatingElement>: Sendable {
  struct Copy {
    let description: JobDescription
    var stored = 0
    var parameters: [Tensor<Element>]
  }

  struct Hosted {
    let owner: OwnerKey
    var description: DeploymentDescription
    /// By client: numbers with their rows and answers.
    var answered: [OwnerKey: [Int: (rows: RowDelivery<Element>, values: Tensor<Element>)]] = [:]
    var rowsSeen = 0
  }

  struct State {
    var copies: [JobID: Copy] = [:]
    var deployments: [JobID: Hosted] = [:]
    var uploads = 0
    /// Questions that were counted, and those that came.
    var counted = 0
    var asked = 0
    var rowsPerQuestion: Int?
    /// Of its terms.
    var window = 8
    /// What is done before a question is answered, by its number among those that came.
    var beforeAnswer: (@Sendable (_ number: Int) -> Void)?
    /// Questions as they came, with their rows; kept where `isWatching`.
    var seen: [(number: Int, rows: RowDelivery<Element>)] = []
    var isWatching = false
    /// What it says was the last question, in place of what was.
    var lastQuestion: Int?
    /// How many of the next questions there is no room for.
    var withoutRoom = 0
    /// Answers that are to be altered.
    var altering: (@Sendable (Tensor<Element>) -> Tensor<Element>)?
  }

  let state = Mutex(State())
  private let network: InProcessNetwork
  private let codec = MessageCodec<Element>()
  private let isStopped = Atomic<Bool>(false)
  private let endpoint: Mutex<InProcessServerEndpoint>
  private let ended = DispatchSemaphore(value: 0)

  init(on network: InProcessNetwork) {
    self.network = network
    endpoint = Mutex(network.makeServerEndpoint())
    let thread = Thread { [self] in
      while !isStopped.load(ordering: .relaxed) {
        let present = endpoint.withLock { $0 }
        // One that was replaced is closed.
        if let incoming = try? present.receive(timeout: .milliseconds(20)) { answer(incoming, over: present) }
      }
      ended.signal()
    }
    thread.stackSize = 8 << 20
    thread.start()
  }

  /// As by a restart with its store: all connections are lost.
  func restart() {
    let next = network.makeServerEndpoint()
    endpoint.withLock { $0 = next }
  }

  func shutDown() {
    isStopped.store(true, ordering: .relaxed)
    ended.wait()
    endpoint.withLock { $0.close() }
  }

  private func answer(_ incoming: IncomingMessage, over endpoint: InProcessServerEndpoint) {
    guard let (job, message) = try? codec.ownerMessage(incoming.frames) else { return }
    let answers: [TrainerMessage<Element>]
    do {
      answers = try respond(to: message, job, incoming.peer.ownerKey)
    } catch let refusal as RawOwner<Element>.Refusal {
      answers = [.refused(kind: refusal.kind, reason: refusal.reason)]
    } catch {
      answers = [.refused(kind: .refused, reason: "\(error)")]
    }
    for answer in answers { try? endpoint.send(codec.frames(answer, job: job), to: incoming.peer) }
  }

  private func refusal(_ reason: String) -> RawOwner<Element>.Refusal { .init(kind: .refused, reason: reason) }

  private func respond(
    to message: OwnerMessage<Element>, _ job: JobID, _ key: OwnerKey
  ) throws -> [TrainerMessage<Element>] {
    switch message {
    case .hello:
      return [.welcome(TrainerGreeting(software: "stand-in", kernel: "none", threads: 1, memoryLimit: 1 << 30))]
    case .ping: return [.pong]
    case .submit(let description):
      return state.withLock { state in
        let specifications = Model(description.graph).structure.parameters
        let isWhole = state.copies[job].map { $0.stored == chunks(of: $0).count } ?? false
        if !isWhole {
          state.copies[job] = Copy(
            description: description, parameters: specifications.map { Tensor(zeros: $0.shape) })
        }
        return [.accepted(missingParameters: !isWhole, storedRows: 0, storedSteps: 0)]
      }
    case .status:
      guard state.withLock({ $0.copies[job] != nil }) else { throw refusal("no such job") }
      return [.status(JobStatus(state: .hosted, step: 0, totalSteps: 1, queuePosition: 0, storedBytes: 0))]
    case .cancel:
      state.withLock { $0.copies[job] = nil }
      return [.removed]
    case .parameters(let chunk, let values):
      return try state.withLock { state in
        guard var copy = state.copies[job], copy.stored == chunk else { throw refusal("a chunk out of order") }
        let chunks = chunks(of: copy)
        try chunks.place(values, number: chunk, into: &copy.parameters)
        copy.stored += 1
        state.copies[job] = copy
        if copy.stored == chunks.count { state.uploads += 1 }
        return [.stored(count: copy.stored)]
      }
    case .deployment(let request): return try respond(to: request, job, key)
    case .question(let request): return try respond(to: request, job, key)
    default: throw refusal("nothing that is asked of a host")
    }
  }

  private func chunks(of copy: Copy) -> ParameterChunks {
    ParameterChunks(Model(copy.description.graph).structure.parameters, elementBytes: MemoryLayout<Element>.size)
  }

  // MARK: - Owners

  private func respond(to request: DeploymentRequest, _ id: JobID, _ key: OwnerKey) throws -> [TrainerMessage<Element>]
  {
    try state.withLock { state in
      switch request {
      case .deploy(let description):
        if let known = state.deployments[id]?.description {
          guard description == known || description.revision > known.revision else { throw refusal("another revision") }
        }
        for copy in description.copies where state.copies[copy].map({ $0.stored < chunks(of: $0).count }) ?? true {
          throw refusal("no whole copy \(copy)")
        }
        state.deployments[id, default: Hosted(owner: key, description: description)].description = description
        let inUse = state.deployments.values.reduce(into: Set<JobID>()) { $0.formUnion($1.description.copies) }
        state.copies = state.copies.filter { inUse.contains($0.key) }
        return [.deployment(.deployed(try status(id, key, state)))]
      case .status: return [.deployment(.deployed(try status(id, key, state)))]
      case .list:
        let own = state.deployments.filter { $0.value.owner == key }.keys
        return [.deployment(.list(try own.map { try status($0, key, state) }))]
      case .undeploy:
        _ = try status(id, key, state)
        state.copies = state.copies.filter { state.deployments[id]?.description.copies.contains($0.key) == false }
        state.deployments[id] = nil
        return [.removed]
      }
    }
  }

  private func status(_ id: JobID, _ key: OwnerKey, _ state: borrowing State) throws -> DeploymentStatus {
    guard let hosted = state.deployments[id], hosted.owner == key else { throw refusal("no such job") }
    return DeploymentStatus(
      id: id, revision: hosted.description.revision,
      clients: hosted.description.clients.map { client in
        let answered = OwnerKey(z85: client.key).flatMap { hosted.answered[$0] } ?? [:]
        return .init(
          key: client.key, keyNumber: client.keyNumber, questions: answered.count,
          rows: answered.values.reduce(0) { $0 + $1.rows.values.rows })
      }, questions: hosted.answered.values.reduce(0) { $0 + $1.count }, rows: hosted.rowsSeen,
      maximumRows: hosted.description.maximumRows, storedBytes: 0, memoryBytes: 0, medianMilliseconds: nil,
      slowMilliseconds: nil)
  }

  // MARK: - Clients

  private func respond(
    to request: ClientRequest<Element>, _ id: JobID, _ key: OwnerKey
  ) throws -> [TrainerMessage<Element>] {
    if case .ask = request {
      let (number, hook) = state.withLock { state in
        state.asked += 1
        return (state.asked, state.beforeAnswer)
      }
      hook?(number)
    }
    return try state.withLock { state in
      guard var hosted = state.deployments[id],
        let client = hosted.description.clients.first(where: { OwnerKey(z85: $0.key) == key }),
        let copy = state.copies[client.copy]
      else { throw refusal("no such job") }
      let terms = DeploymentTerms(
        keyNumber: client.keyNumber, package: client.package, window: state.window,
        rowsPerQuestion: min(state.rowsPerQuestion ?? .max, copy.description.microBatch),
        maximumTokens: copy.description.graph.maximumTokens, rowsSeen: hosted.rowsSeen,
        maximumRows: hosted.description.maximumRows,
        lastQuestion: state.lastQuestion ?? hosted.answered[key]?.keys.max() ?? 0)
      switch request {
      case .open: return [.deployment(.opened(terms))]
      case .ask(let number, let keyNumber, let rows):
        if state.isWatching { state.seen.append((number, rows)) }
        guard state.withoutRoom == 0 else {
          state.withoutRoom -= 1
          throw RawOwner<Element>.Refusal(kind: .exhausted, reason: "more questions wait here; ask again later")
        }
        guard keyNumber == client.keyNumber else { return [.deployment(.rekeyed(terms))] }
        if let known = hosted.answered[key]?[number] {
          guard known.rows == rows else { throw refusal("question \(number) with other rows") }
          return [.deployment(.answered(number: number, rowsSeen: hosted.rowsSeen, values: known.values))]
        }
        if let most = hosted.description.maximumRows, hosted.rowsSeen + rows.values.rows > most {
          throw refusal("this deployment answers \(most) rows in all, \(hosted.rowsSeen) are answered")
        }
        var values = try Self.infer(copy, rows)
        if let altering = state.altering { values = altering(values) }
        hosted.rowsSeen += rows.values.rows
        hosted.answered[key, default: [:]][number] = (rows, values)
        state.deployments[id] = hosted
        state.counted += 1
        return [.deployment(.answered(number: number, rowsSeen: hosted.rowsSeen, values: values))]
      default: throw refusal("no sessions here")
      }
    }
  }

  static func infer(_ copy: Copy, _ rows: RowDelivery<Element>) throws -> Tensor<Element> {
    let engine = try TrainingEngine<Element>(
      model: copy.description.graph, optimizer: nil, schedule: copy.description.schedule, totalSteps: 1,
      batchRows: copy.description.batch, compute: Compute(threads: 1), parameters: copy.parameters)
    let layout =
      rows.hasSequences ? SequenceLayout(lengths: rows.lengths.elements, pooled: rows.pooled.elements) : nil
    return try engine.infer(rows: rows.count, sequences: layout) { target in
      rows.values.withUnsafeBufferPointer { _ = target.update(fromContentsOf: $0) }
    }
  }
}
