import Foundation
package import Protocol
package import Synchronization

/// What every server counts of its work, for whoever watches it. Counting is an atomic addition a message; everything else happens when
/// somebody asks.
package final class ServiceMetrics: Sendable {
  private let receivedBytes = Atomic(0)
  private let sentBytes = Atomic(0)
  private let refusals = Mutex<[RefusalCause: Int]>([:])
  private let turns = Atomic(0)
  private let jobs = Mutex(JobCounts())
  private let start = ContinuousClock.now

  package init() {}

  package func countReceived(bytes: Int) {
    receivedBytes.wrappingAdd(bytes, ordering: .relaxed)
  }

  package func countSent(bytes: Int) {
    sentBytes.wrappingAdd(bytes, ordering: .relaxed)
  }

  package func countRefusal(_ cause: RefusalCause) {
    refusals.withLock { $0[cause, default: 0] += 1 }
  }

  /// Replaces what was known of the jobs.
  package func publish(_ counts: JobCounts) {
    jobs.withLock { $0 = counts }
  }

  /// A running job was saved because others waited.
  package func countTurn() {
    turns.wrappingAdd(1, ordering: .relaxed)
  }

  /// Everything as Prometheus text (exposition format 0.0.4).
  ///
  /// - Parameters:
  ///   - program: the server, with which all names begin, as in `trainer`.
  ///   - build: labels of this program's build: version and the like.
  ///   - unwrittenEvents: events that could not be written to the event log yet.
  ///   - connectionRefusals: by reason, of peers that never named a job.
  ///   - addRole: adds what this kind of server alone counts.
  package func text(
    program: String, build: [(String, String)], unwrittenEvents: Int = 0,
    connectionRefusals: [String: Int] = [:], addRole: (inout MetricsText) -> Void = { _ in }
  ) -> String {
    var text = MetricsText()
    text.add(
      "\(program)_build_info", .gauge, "What this program is; always 1.", [.init(build, 1)])
    text.add(
      "\(program)_uptime_seconds", .gauge, "Seconds since the \(program) started.",
      [.init([], (ContinuousClock.now - start) / .seconds(1))])
    addRole(&text)
    jobs.withLock { $0 }.add(to: &text, program: program)
    text.add(
      "\(program)_turns_ended_total", .counter, "Running jobs that were saved because others waited.", of: turns)
    text.add(
      "\(program)_memory_resident_bytes", .gauge, "Memory this process holds.",
      [.init([], Double(ProcessMemory.residentBytes))])
    text.add(
      "\(program)_received_bytes_total", .counter, "Bytes of messages from owners, before encryption.",
      of: receivedBytes)
    text.add(
      "\(program)_sent_bytes_total", .counter, "Bytes of messages to owners, before encryption.", of: sentBytes)
    addRefusals(to: &text, program: program, connections: connectionRefusals)
    text.add(
      "\(program)_audit_waiting", .gauge, "Events that could not be written to the event log yet.",
      [.init([], Double(unwrittenEvents))])
    return text.text
  }

  private func addRefusals(to text: inout MetricsText, program: String, connections: [String: Int]) {
    let counts = refusals.withLock { $0 }
    text.add(
      "\(program)_refusals_total", .counter, "Connections and messages turned away, by reason.",
      RefusalCause.allCases.map { .init([("stage", "job"), ("reason", $0.rawValue)], Double(counts[$0] ?? 0)) }
        + connections.sorted { $0.key < $1.key }.map {
          .init([("stage", "connection"), ("reason", $0.key)], Double($0.value))
        })
  }
}

/// The jobs of a service at one moment.
package struct JobCounts: Sendable {
  private let queueLength: Int
  /// Bytes that running jobs may come to take.
  private let memoryInUse: Int
  private var byState: [JobState: Int] = [:]
  /// By the first characters of the owner's key.
  private var byOwner: [String: [JobState: Int]] = [:]
  /// CPU seconds since the service began, by the same.
  package var processorSeconds: [String: Double] = [:]

  package init(queueLength: Int = 0, memoryInUse: Int = 0) {
    self.queueLength = queueLength
    self.memoryInUse = memoryInUse
  }

  package mutating func add(_ state: JobState, of owner: OwnerKey) {
    byState[state, default: 0] += 1
    byOwner[owner.prefix, default: [:]][state, default: 0] += 1
  }

  fileprivate func add(to text: inout MetricsText, program: String) {
    text.add(
      "\(program)_queue_length", .gauge, "Jobs that could run and wait for their turn.",
      [.init([], Double(queueLength))])
    text.add(
      "\(program)_jobs", .gauge, "Jobs in the store by state.",
      JobState.allCases.map { .init([("state", $0.metricLabel)], Double(byState[$0] ?? 0)) })
    text.add(
      "\(program)_memory_reserved_bytes", .gauge, "Memory that running jobs may come to take.",
      [.init([], Double(memoryInUse))])
    addOwners(to: &text, program: program)
  }

  /// Nothing where there is no sample: a metric without one is none.
  private func addOwners(to text: inout MetricsText, program: String) {
    let jobs = byOwner.sorted { $0.key < $1.key }.flatMap { owner, states in
      JobState.allCases.compactMap { state in
        states[state].map { MetricsText.Sample([("owner", owner), ("state", state.metricLabel)], Double($0)) }
      }
    }
    if !jobs.isEmpty {
      text.add("\(program)_owner_jobs", .gauge, "Jobs in the store by owner and state, where there are any.", jobs)
    }
    guard !processorSeconds.isEmpty else { return }
    text.add(
      "\(program)_owner_processor_seconds_total", .counter, "Processor time of an owner's jobs since the start.",
      processorSeconds.sorted { $0.key < $1.key }.map { .init([("owner", $0.key)], $0.value) })
  }
}

extension JobState {
  fileprivate var metricLabel: String {
    self == .waitingForOwner ? "waiting_for_owner" : rawValue
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

/// Prometheus' text exposition format 0.0.4: a HELP and a TYPE line a metric, then its samples.
package struct MetricsText {
  package enum Kind: String {
    case counter
    case gauge
    case histogram
  }

  package struct Sample {
    let labels: [(name: String, value: String)]
    let value: Double

    package init(_ labels: [(String, String)], _ value: Double) {
      self.labels = labels
      self.value = value
    }
  }

  private(set) var text = ""

  /// - Parameter name: of letters, digits and underscores; each is added once.
  package mutating func add(_ name: String, _ kind: Kind, _ help: String, _ samples: [Sample]) {
    addHead(name, kind, help)
    addSamples(name, samples)
  }

  /// - Parameter buckets: counts of what stayed within a bound, each with those before it, labelled `le`; the last of all.
  package mutating func addHistogram(_ name: String, _ help: String, buckets: [Sample], sum: Double, count: Int) {
    addHead(name, .histogram, help)
    addSamples(name + "_bucket", buckets)
    addSamples(name + "_sum", [Sample([], sum)])
    addSamples(name + "_count", [Sample([], Double(count))])
  }

  private mutating func addHead(_ name: String, _ kind: Kind, _ help: String) {
    text += "# HELP \(name) \(Self.escaped(help))\n# TYPE \(name) \(kind.rawValue)\n"
  }

  private mutating func addSamples(_ name: String, _ samples: [Sample]) {
    for sample in samples {
      let labels = sample.labels.map { "\($0.name)=\"\(Self.escaped($0.value, quotes: true))\"" }
      text += name + (labels.isEmpty ? "" : "{\(labels.joined(separator: ","))}") + " \(Self.number(sample.value))\n"
    }
  }

  package mutating func add(_ name: String, _ kind: Kind, _ help: String, of counter: borrowing Atomic<Int>) {
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
