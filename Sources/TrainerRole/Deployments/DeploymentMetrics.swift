import Foundations
package import Service
import Synchronization

/// What a trainer counts of its deployments, for whoever watches it, beside refusals, which the service counts by cause.
package final class DeploymentMetrics: Sendable {
  private struct State {
    var questions = 0
    var rows = 0
    var seconds = 0.0
    /// Answers by the first bound of `bounds` that they stayed within; the last of those beyond all.
    var within = [Int](repeating: 0, count: DeploymentMetrics.bounds.count + 1)
    var deployments = 0
    var loaded = LoadedFigures()
  }

  /// Seconds from a question's arrival to its answer.
  private static let bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]

  private let state = Mutex(State())

  package init() {}

  /// - Parameter rows: that were counted for it.
  func countQuestion(rows: Int, after elapsed: Duration) {
    let seconds = elapsed / .seconds(1)
    state.withLock { state in
      state.questions += 1
      state.rows += rows
      state.seconds += seconds
      state.within[Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count] += 1
    }
  }

  func publish(deployments: Int, loaded: LoadedFigures) {
    state.withLock { state in
      state.deployments = deployments
      state.loaded = loaded
    }
  }

  /// - Parameter memoryLimit: bytes that models and sessions may take.
  package func add(to text: inout MetricsText, memoryLimit: Int) {
    let state = state.withLock { $0 }
    func gauge(_ name: String, _ help: String, _ value: Int) {
      text.add("trainer_\(name)", .gauge, help, [.init([], Double(value))])
    }
    func counter(_ name: String, _ help: String, _ value: Int) {
      text.add("trainer_\(name)_total", .counter, help, [.init([], Double(value))])
    }
    gauge("deployments", "Deployments in the store.", state.deployments)
    gauge("deployment_memory_limit_bytes", "Memory of all deployments (--deployment-memory).", memoryLimit)
    gauge("deployment_memory_bytes", "Memory that models and sessions of deployments take.", state.loaded.bytes)
    gauge("deployment_copies_loaded", "Masked copies of models that are in memory.", state.loaded.copies.count)
    gauge("deployment_sessions", "Texts that are being generated.", state.loaded.sessions)
    counter("deployment_loads", "Copies read into memory.", state.loaded.loads)
    counter("deployment_evictions", "Copies that left memory for want of room.", state.loaded.evictions)
    counter(
      "deployment_sessions_dropped", "Sessions given up for want of room, or because nobody went on with them.",
      state.loaded.sessionsDropped)
    counter("deployment_questions", "Questions answered.", state.questions)
    counter("deployment_rows", "Rows, sequences or tokens counted for them.", state.rows)
    addLatency(state, to: &text)
  }

  private func addLatency(_ state: State, to text: inout MetricsText) {
    var sum = 0
    var buckets: [MetricsText.Sample] = []
    for (count, bound) in zip(state.within, Self.bounds.map { "\($0)" } + ["+Inf"]) {
      sum += count
      buckets.append(.init([("le", bound)], Double(sum)))
    }
    text.addHistogram(
      "trainer_deployment_answer_seconds", "Seconds from a question's arrival to its answer.", buckets: buckets,
      sum: state.seconds, count: sum)
  }
}
