import Foundation
import Foundations
import Numerics
import Protocol
import Service

/// A copy of a model as it is in the store.
struct HostedCopy: Sendable {
  let job: TrainingJob
  let store: TrainingStore
}

/// What the worker is to compute for one question.
struct InferenceTask<Element: FloatingElement>: Sendable {
  enum Work: Sendable {
    case rows(RowDelivery<Element>)
    case tokens(SessionStep<Element>)
    /// A session's keys and values may go, once what was asked of it before is computed. Not answered; has no ticket.
    case end(Asker, SessionID)
  }

  static var noTicket: Int { 0 }

  let ticket: Int
  let copy: HostedCopy
  let work: Work
}

/// What became of it.
struct InferenceResult<Element: FloatingElement>: Sendable {
  enum Outcome: Sendable {
    case outputs(Tensor<Element>, digest: Digest)
    /// `place`: what is to be counted; nil where all tokens were before.
    case extended(Tensor<Element>, indices: Tensor<Int32>, place: SessionMarks.Place?, tokens: Int)
    case sessionLost
    case failed(ServiceError)
  }

  let ticket: Int
  let outcome: Outcome
}

/// Computes the answers to questions on a thread of its own, beside the service and the jobs' runners: what waits for one copy is done
/// together, copies in turn.
///
/// `@unchecked Sendable`: all state is read and written with `condition` locked; what is loaded belongs to the one thread that `start`
/// makes.
final class InferenceWorker<Element: FloatingElement>: @unchecked Sendable {
  private let condition = NSCondition()
  private let makeModels: @Sendable () -> LoadedModels<Element>
  private let post: @Sendable () -> Void

  private var queues: [JobID: [InferenceTask<Element>]] = [:]
  /// Copies for which something waits; the next one first.
  private var turns: [JobID] = []
  private var orders: [LoadedModels<Element>.Order] = []
  private var results: [InferenceResult<Element>] = []
  private var figures = LoadedFigures()
  private var isStopped = false
  private var hasEnded = false
  private let time = ThreadTime()

  /// - Parameters:
  ///   - makeModels: called once, on the worker's thread.
  ///   - post: says that there are results, on the worker's thread.
  init(makeModels: @escaping @Sendable () -> LoadedModels<Element>, post: @escaping @Sendable () -> Void) {
    self.makeModels = makeModels
    self.post = post
  }

  func start() {
    let thread = Thread { [self] in
      time.start()
      run()
      time.end()
      condition.withLock {
        hasEnded = true
        condition.broadcast()
      }
    }
    thread.stackSize = 8 << 20
    thread.name = "inference"
    thread.start()
  }

  /// Ends after what is being computed; returns when it has. Call once, after `start`.
  func stop() {
    condition.withLock {
      isStopped = true
      condition.broadcast()
      while !hasEnded { condition.wait() }
    }
  }

  func add(_ task: InferenceTask<Element>) {
    condition.withLock {
      let copy = task.copy.job.id
      if queues[copy] == nil { turns.append(copy) }
      queues[copy, default: []].append(task)
      condition.signal()
    }
  }

  /// Takes out of the line what is not being computed already.
  func cancel(_ tickets: Set<Int>) {
    guard !tickets.isEmpty else { return }
    condition.withLock {
      for (copy, tasks) in queues {
        let left = tasks.filter { !tickets.contains($0.ticket) }
        queues[copy] = left.isEmpty ? nil : left
      }
      turns.removeAll { queues[$0] == nil }
    }
  }

  /// Before the next computation.
  func order(_ order: LoadedModels<Element>.Order) {
    condition.withLock {
      orders.append(order)
      condition.signal()
    }
  }

  func takeResults() -> [InferenceResult<Element>] {
    condition.withLock {
      defer { results = [] }
      return results
    }
  }

  /// CPU seconds of its thread so far.
  var threadSeconds: Double { time.seconds }

  /// What is in memory.
  var inMemory: LoadedFigures { condition.withLock { figures } }

  // MARK: - On its thread

  private func run() {
    var models = makeModels()
    while let (orders, tasks) = next() {
      for order in orders { models.carryOut(order) }
      let results = tasks.isEmpty ? [] : models.compute(tasks)
      let figures = models.figures
      condition.withLock {
        self.figures = figures
        self.results += results
      }
      if !results.isEmpty { post() }
    }
  }

  /// Waits for something to do; nil when it is to end.
  private func next() -> (orders: [LoadedModels<Element>.Order], tasks: [InferenceTask<Element>])? {
    condition.withLock {
      while !isStopped, orders.isEmpty, turns.isEmpty { condition.wait() }
      guard !isStopped else { return nil }
      defer { orders = [] }
      return (orders, takeTasks())
    }
  }

  /// What the copy whose turn it is has waiting, up to a block.
  private func takeTasks() -> [InferenceTask<Element>] {
    guard !turns.isEmpty else { return [] }
    let copy = turns.removeFirst()
    guard let waiting = queues[copy] else { return [] }
    let count = LoadedModels<Element>.together(waiting)
    let left = waiting.dropFirst(count)
    queues[copy] = left.isEmpty ? nil : Array(left)
    if !left.isEmpty { turns.append(copy) }
    return Array(waiting.prefix(count))
  }
}
