import ArgumentParser
import Foundation
import Foundations
import Masking
import Numerics
import OwnerRole
import Protocol
import Synchronization

/// Clients of deployments, each with one question at a time, against a host that runs elsewhere.
struct QuestionsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "questions",
    abstract: "Time from a question's masking to its unmasked answer, of clients in this process that ask at once.",
    discussion: """
      The deployments take turns; in a turn each of the clients, on a thread with a connection of its own, asks about the first row of the file \
      again and again under new numbers. Prints quantiles of each turn. KEYS/NAME/owner.key is the key of DEPLOYMENT/clients/NAME.

      Example: benchmarks questions deployments/masked deployments/plain --keys keys --data one.h5 --clients 8
      """,
    shouldDisplay: false)

  struct Turn: Encodable {
    let deployment: String
    let questions: Int
    /// From the first question of all clients to the last answer.
    let seconds: Double
    let medianMilliseconds: Double
    /// 19 of 20 answers are as fast.
    let slowMilliseconds: Double
  }

  @Argument(help: "Directories of deployments.") var deployments: [String]
  @Option(help: "Directory with a directory for each client's key.") var keys: String
  @Option(help: "The file whose first row is asked about.") var data: String
  @Option(help: "Clients that ask at once: the first ones of each deployment by name.") var clients: Int = 1
  @Option(help: "Questions of each client in a turn.") var questions: Int = 200
  @Option(help: "Turns of each deployment; one ahead warms up.") var rounds: Int = 7

  func validate() throws {
    guard !deployments.isEmpty, (1...1000).contains(clients), (1...1_000_000).contains(questions),
      (1...1000).contains(rounds)
    else {
      throw ValidationError("--clients must be 1 … 1000, --questions 1 … 1000000, --rounds 1 … 1000")
    }
  }

  func run() throws {
    let asked = try deployments.map { path in
      try AskedDeployment(URL(filePath: path), keys: URL(filePath: keys), clients: clients, data: data)
    }
    var turns: [Turn] = []
    for round in 0...rounds {
      for deployment in round.isMultiple(of: 2) ? asked : asked.reversed() {
        let found = try deployment.ask(questions: questions)
        if round == 0 { continue }
        let sorted = found.latencies.sorted()
        func quantile(_ share: Double) -> Double {
          1000 * (sorted[min(sorted.count - 1, Int(share * Double(sorted.count)))] / .seconds(1))
        }
        turns.append(
          Turn(
            deployment: deployment.path, questions: sorted.count, seconds: found.elapsed / .seconds(1),
            medianMilliseconds: quantile(0.5), slowMilliseconds: quantile(0.95)))
      }
    }
    try Report.write(turns)
  }
}

/// A deployment's clients, with their keys expanded.
private final class AskedDeployment {
  let path: String
  private let content: QuestionContent
  private let clients: [AskingClient]

  init(_ root: URL, keys: URL, clients count: Int, data: String) throws {
    path = root.path
    let folder = root.appending(path: "clients")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().prefix(count)
    guard names.count == count, let first = names.first else {
      throw ValidationError("\(folder.path) has \(names.count) clients, not \(count)")
    }
    let shape = try ClientDirectory(root: folder.appending(path: first)).load().shape
    // One for all: a table of token vectors is large.
    let material: ClientMaterial<Float> = try ClientDirectory(root: folder.appending(path: first)).material(shape)
    content = try QuestionSource(shape, file: data, features: nil).first(1, standardization: material.standardization)
    clients = try names.map { name in
      try AskingClient(
        ClientDirectory(root: folder.appending(path: name)), key: keys.appending(path: name).path, material)
    }
  }

  /// A turn, every client over a new connection: one that is not used for seconds is given up by the host.
  func ask(questions: Int) throws -> (latencies: [Duration], elapsed: Duration) {
    let latencies = Mutex<[Duration]>([])
    let failures = Mutex<[any Error]>([])
    let ready = DispatchGroup()
    let done = DispatchGroup()
    let gate = DispatchSemaphore(value: 0)
    for client in clients {
      ready.enter()
      done.enter()
      let thread = Thread { [content] in
        defer { done.leave() }
        do {
          let connection: TrainerConnection<Float>
          do {
            defer { ready.leave() }
            connection = try client.connect()
          }
          defer { connection.close() }
          gate.wait()
          let found = try client.ask(content, questions: questions, over: connection)
          latencies.withLock { $0 += found }
        } catch {
          failures.withLock { $0.append(error) }
        }
      }
      thread.stackSize = 4 << 20
      thread.start()
    }
    ready.wait()
    let start = ContinuousClock.now
    for _ in clients { gate.signal() }
    done.wait()
    if let error = failures.withLock({ $0.first }) { throw error }
    return (latencies.withLock { $0 }, start.duration(to: .now))
  }
}

/// One client. `@unchecked Sendable`: used by one thread at a time, the one that `AskedDeployment.ask` makes for it in a turn.
private final class AskingClient: @unchecked Sendable {
  private let directory: ClientDirectory
  private let description: ClientDescription
  private let own: CurveKeyPair
  private let client: DeploymentClient<Float>

  init(_ directory: ClientDirectory, key: String, _ material: ClientMaterial<Float>) throws {
    self.directory = directory
    description = try directory.load()
    own = try KeyFile(.owner, in: key).readKeyPair()
    guard let owner = CurvePublicKey(z85: description.owner) else {
      throw ValidationError("\(directory.root.path) names no owner")
    }
    client = DeploymentClient(
      material: material, deployment: description.deployment, own: own, owner: owner,
      key: try directory.key(of: description.deployment), keyNumber: description.keyNumber,
      compute: Compute(threads: 1), keep: { _, _ in })
    client.keys.expand()
  }

  func connect() throws -> TrainerConnection<Float> {
    guard let host = CurvePublicKey(z85: description.hostKey) else {
      throw ValidationError("\(directory.root.path) names no host")
    }
    let connection = TrainerConnection<Float>(
      channel: try ZeroMQOwnerChannel(endpoint: description.host, ownerKeys: own, serverKey: host),
      job: description.deployment, software: "benchmarks")
    try connection.greet(patience: .seconds(30))
    _ = try client.adopt(try client.open(over: connection))
    return connection
  }

  func ask(
    _ content: QuestionContent, questions: Int, over connection: TrainerConnection<Float>
  ) throws -> [Duration] {
    let first = try directory.takeNumbers(questions, after: 0)
    return try (first..<first + questions).map { number in
      let start = ContinuousClock.now
      let delivery = try client.mask(content, draw: number, first: 0).delivery
      try connection.send(.question(.ask(number: number, keyNumber: client.keyNumber, rows: delivery)))
      let values = try connection.waitFor { message -> Tensor<Float>? in
        if case .deployment(.answered(number, _, let values)) = message { return values }
        return nil
      }
      _ = try client.keys.unmaskOutputs(values)
      return start.duration(to: .now)
    }
  }
}
