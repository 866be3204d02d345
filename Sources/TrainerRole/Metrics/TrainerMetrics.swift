import Foundation
import Synchronization
import Protocol

/// What a trainer counts of its work, for whoever watches it. Counting is an atomic addition a step or a message; everything
/// else happens when somebody asks.
package final class TrainerMetrics: Sendable {
  private let steps = Atomic(0)
  private let rows = Atomic(0)
  private let tokens = Atomic(0)
  private let receivedBytes = Atomic(0)
  private let sentBytes = Atomic(0)
  private let checkpoints = Atomic(0)
  private let checkpointNanoseconds = Atomic(0)
  private let refusals = Mutex<[RefusalCause: Int]>([:])
  private let jobs = Mutex<(queueLength: Int, byState: [JobState: Int])>((0, [:]))
  private let start = ContinuousClock.now

  package init() {}

  // MARK: Counting

  /// - Parameter tokens: 0 where a sample is one row.
  func countStep(rows: Int, tokens: Int) {
    steps.wrappingAdd(1, ordering: .relaxed)
    self.rows.wrappingAdd(rows, ordering: .relaxed)
    self.tokens.wrappingAdd(tokens, ordering: .relaxed)
  }

  func countReceived(bytes: Int) {
    receivedBytes.wrappingAdd(bytes, ordering: .relaxed)
  }

  func countSent(bytes: Int) {
    sentBytes.wrappingAdd(bytes, ordering: .relaxed)
  }

  func countCheckpoint(_ elapsed: Duration) {
    checkpoints.wrappingAdd(1, ordering: .relaxed)
    checkpointNanoseconds.wrappingAdd(Int(elapsed / .nanoseconds(1)), ordering: .relaxed)
  }

  func countRefusal(_ cause: RefusalCause) {
    refusals.withLock { $0[cause, default: 0] += 1 }
  }

  /// Replaces what was known of the jobs.
  func publish(queueLength: Int, byState: [JobState: Int]) {
    jobs.withLock { $0 = (queueLength, byState) }
  }

  // MARK: Telling

  /// Everything as Prometheus text (exposition format 0.0.4).
  ///
  /// - Parameters:
  ///   - build: labels of this program's build: version, kernel and the like.
  ///   - memoryLimit: bytes that one job may take.
  ///   - auditWaiting: events that could not be written to the audit log yet.
  ///   - connectionRefusals: by reason, of peers that never named a job.
  package func text(
    build: KeyValuePairs<String, String>, memoryLimit: Int, auditWaiting: Int = 0,
    connectionRefusals: [String: Int] = [:]
  ) -> String {
    var text = MetricsText()
    text.add(
      "trainer_build_info", .gauge, "What this program is; always 1.",
      [.init(build.map { ($0.key, $0.value) }, 1)])
    text.add(
      "trainer_uptime_seconds", .gauge, "Seconds since the trainer started.",
      [.init([], (ContinuousClock.now - start) / .seconds(1))])
    text.add("trainer_steps_total", .counter, "Training steps applied.", of: steps)
    text.add("trainer_rows_total", .counter, "Rows (samples) of the steps applied.", of: rows)
    text.add(
      "trainer_tokens_total", .counter, "Tokens of the steps applied, of models whose samples are sequences.",
      of: tokens)
    addJobs(to: &text)
    text.add(
      "trainer_memory_resident_bytes", .gauge, "Memory this process holds.",
      [.init([], Double(ProcessMemory.residentBytes))])
    text.add(
      "trainer_memory_limit_bytes", .gauge, "Memory one job may take (--memory-limit).",
      [.init([], Double(memoryLimit))])
    text.add(
      "trainer_received_bytes_total", .counter, "Bytes of messages from owners, before encryption.", of: receivedBytes)
    text.add("trainer_sent_bytes_total", .counter, "Bytes of messages to owners, before encryption.", of: sentBytes)
    addRefusals(to: &text, connections: connectionRefusals)
    text.add("trainer_checkpoints_total", .counter, "Checkpoints written.", of: checkpoints)
    text.add(
      "trainer_checkpoint_seconds_total", .counter, "Seconds spent on writing checkpoints.",
      [.init([], Double(checkpointNanoseconds.load(ordering: .relaxed)) / 1e9)])
    text.add(
      "trainer_audit_waiting", .gauge, "Events that could not be written to the audit log yet.",
      [.init([], Double(auditWaiting))])
    return text.text
  }

  private func addJobs(to text: inout MetricsText) {
    let (queueLength, byState) = jobs.withLock { $0 }
    text.add(
      "trainer_queue_length", .gauge, "Jobs that could run and wait for their turn.", [.init([], Double(queueLength))])
    text.add(
      "trainer_jobs", .gauge, "Jobs in the store by state.",
      JobState.allCases.map { .init([("state", $0.metricLabel)], Double(byState[$0] ?? 0)) })
  }

  private func addRefusals(to text: inout MetricsText, connections: [String: Int]) {
    let counts = refusals.withLock { $0 }
    text.add(
      "trainer_refusals_total", .counter, "Connections and messages turned away, by reason.",
      RefusalCause.allCases.map { .init([("stage", "job"), ("reason", $0.rawValue)], Double(counts[$0] ?? 0)) }
        + connections.sorted { $0.key < $1.key }.map {
          .init([("stage", "connection"), ("reason", $0.key)], Double($0.value))
        })
  }
}

extension JobState {
  fileprivate var metricLabel: String {
    self == .waitingForOwner ? "waiting_for_owner" : rawValue
  }
}

/// Prometheus' text exposition format 0.0.4: a HELP and a TYPE line a metric, then its samples.
struct MetricsText {
  enum Kind: String {
    case counter
    case gauge
  }

  struct Sample {
    let labels: [(name: String, value: String)]
    let value: Double

    init(_ labels: [(String, String)], _ value: Double) {
      self.labels = labels
      self.value = value
    }
  }

  private(set) var text = ""

  /// - Parameter name: of letters, digits and underscores; each is added once.
  mutating func add(_ name: String, _ kind: Kind, _ help: String, _ samples: [Sample]) {
    text += "# HELP \(name) \(Self.escaped(help))\n# TYPE \(name) \(kind.rawValue)\n"
    for sample in samples {
      let labels = sample.labels.map { "\($0.name)=\"\(Self.escaped($0.value, quotes: true))\"" }
      text += name + (labels.isEmpty ? "" : "{\(labels.joined(separator: ","))}") + " \(Self.number(sample.value))\n"
    }
  }

  mutating func add(_ name: String, _ kind: Kind, _ help: String, of counter: borrowing Atomic<Int>) {
    add(name, kind, help, [Sample([], Double(counter.load(ordering: .relaxed)))])
  }

  /// Whole numbers up to 2⁵³ are exact, as they are in Prometheus, whose values are doubles.
  static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    return Int(exactly: value).map(String.init) ?? "\(value)"
  }

  static func escaped(_ text: String, quotes: Bool = false) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\"" where quotes: result += "\\\""
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}

/// What this process takes of the machine's memory.
enum ProcessMemory {
  /// Pages in memory now, in bytes; 0 where the kernel does not tell.
  static var residentBytes: Int {
    // Fields of statm(5), in pages: size, resident, …
    let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ") ?? []
    guard fields.count > 1, let pages = Int(fields[1]) else { return 0 }
    let (bytes, overflow) = pages.multipliedReportingOverflow(by: sysconf(Int32(_SC_PAGESIZE)))
    return overflow ? 0 : bytes
  }
}
