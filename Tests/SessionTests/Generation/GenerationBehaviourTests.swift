import Dispatch
import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import Protocol
import Synchronization
import TestSupport
import Testing
import Training

@testable import OwnerRole
@testable import Service
@testable import TrainerRole

/// What happens on the way of a generation: kills, a host that goes away or forgets, new keys, limits.
@Suite(.waiting, .timeLimit(.minutes(10))) struct GenerationBehaviourTests {
  private typealias Stage = GenerationStage<Double>

  /// Killed at whatever message, the same command goes on to the same tokens, and the host has counted each once.
  @Test(arguments: [false, true]) func interruptedAtAnyToken(isDrawn: Bool) throws {
    let stage = try Stage()
    let host = stage.host()
    defer { host.shutDown() }
    let deployment = try stage.fixture.deployed(stage.source)
    let sampling = isDrawn ? try TokenSampling(temperature: 1) : try Stage.greedy
    let expected = try stage.expected(sampling)
    var seen = 0
    for operations in [9, 14, 23, 37, 61, 100, 150, 220] {
      let name = "texts-\(operations).h5"
      var runs = 0
      while !stage.fixture.directory.url(name).isThere, runs < 100 {
        runs += 1
        let channel = MortalChannel(
          stage.fixture.network.connect(stage.fixture.clients[0].keys.ownerKey), operations: operations * runs)
        do {
          // Only the first says what the seed is; the others find it.
          try stage.generate(deployment, to: name, sampling: sampling, seed: runs == 1 ? 5 : nil, over: channel)
        } catch let error as TransportError {
          #expect(error == .closed)
        }
      }
      #expect(runs < 100 && (runs > 1 || operations >= 220), "\(runs) runs of \(operations)")
      #expect(try stage.results(name) == expected)
      seen += stage.tokensSent(expected)
      #expect(try stage.fixture.host(deployment).status().rows == seen, "\(operations)")
    }
  }

  /// With noise, which is drawn from the client's secret, what is sent again is the same to the bit: counted once.
  @Test func noiseIsTheSameWhenATextIsGoneOnWith() throws {
    let fixture = try DeploymentFixture<Double>()
    let host = TrainerHost<Double>(on: fixture.network, store: fixture.directory.url("store"))
    defer { host.shutDown() }
    let data = try TokenData(in: fixture.directory, rows: 12)
    let job = TokenJob().changing { ($0.family, $0.task, $0.noise) = (.llama, .causalLanguageModel, 0.05) }
    let source = try fixture.source(try fixture.finishedRun(job.resolved(on: data)), maximumTokens: 12)
    let deployment = try fixture.deployed(source)
    func generate(_ name: String, operations: Int) throws {
      let directory = fixture.given("ward")
      let asking = try DeploymentClient<Double>(
        directory, own: fixture.clients[0].keys, compute: Compute(threads: 1))
      let channel = MortalChannel(fixture.network.connect(fixture.clients[0].keys.ownerKey), operations: operations)
      _ = try Generation<Double>(
        GenerationRequest(
          prompts: data.file.path, features: nil, mostTokens: nil, sampling: TokenSampling(temperature: 0), seed: nil),
        client: asking, to: fixture.directory.url(name), takeNumbers: { try directory.takeNumbers($0, after: $1) }
      ).run(over: fixture.connection(deployment, as: 0, over: channel), patience: .seconds(20))
    }
    var runs = 0
    while !fixture.directory.url("texts.h5").isThere, runs < 50 {
      runs += 1
      do { try generate("texts.h5", operations: 12 * runs) } catch TransportError.closed {}
    }
    #expect(runs > 2 && runs < 50)
    // Ten columns of at most ten tokens: 12 with the continuation, the last of which is not sent.
    #expect(try fixture.host(deployment).status().rows == 12 * 11)
  }

  /// The store has the books and no keys and values: everything is sent again, and counted once.
  @Test func aHostThatIsRestartedOnTheWay() throws {
    let stage = try Stage()
    var host = stage.host()
    let deployment = try stage.fixture.deployed(stage.source)
    let sampling = try TokenSampling(temperature: 1)
    var (tokens, restarts, losses) = (0, 0, 0)
    let report = try stage.generate(deployment, to: "texts.h5", sampling: sampling, patience: .seconds(60)) { event in
      if case .lost = event { losses += 1 }
      guard case .token = event else { return }
      tokens += 1
      guard tokens % 35 == 0 else { return }
      restarts += 1
      host.shutDown()
      host = stage.host()
    }
    defer { host.shutDown() }
    let expected = try stage.expected(sampling)
    #expect(restarts == 3 && losses >= 1)
    #expect(try stage.results("texts.h5") == expected && report.rowsSeen == stage.tokensSent(expected))
  }

  /// Room for two texts of six: the host forgets and is told again.
  @Test func aHostThatForgets() throws {
    let stage = try Stage()
    let opened = try stage.source.open()
    let model = try #require(LoadedModels<Double>.bytesNeeded(opened.hosting))
    let session = try #require(GenerationCache<Double>.bytesNeeded(opened.graph, tokens: 40))
    let small = stage.host(deploymentMemory: model + 5 * session / 2)
    defer { small.shutDown() }
    let deployment = try stage.fixture.deployed(stage.source)
    let report = try stage.generate(deployment, to: "texts.h5")
    let expected = try stage.expected(try Stage.greedy)
    #expect(try stage.results("texts.h5") == expected && report.rowsSeen == stage.tokensSent(expected))
    let deadline = ContinuousClock.now + .seconds(120)
    while (stage.metric("trainer_deployment_sessions_dropped_total", of: small) ?? 0) < 10,
      ContinuousClock.now < deadline
    {
      Thread.sleep(forTimeInterval: 0.05)
    }
    #expect(try #require(stage.metric("trainer_deployment_sessions_dropped_total", of: small)) >= 10)
  }

  /// Texts under way go on under the new key, in sessions of their own.
  @Test(arguments: [1, 30, 77]) func aRotationOnTheWay(at token: Int) throws {
    let stage = try Stage()
    let host = stage.host()
    defer { host.shutDown() }
    let deployment = try stage.fixture.deployed(stage.source)
    let sampling = try TokenSampling(temperature: 1)
    var (tokens, keys) = (0, [Int]())
    let report = try stage.generate(deployment, to: "texts.h5", sampling: sampling) { event in
      if case .rekeyed(let number) = event { keys.append(number) }
      guard case .token = event else { return }
      tokens += 1
      guard tokens == token else { return }
      do { try stage.rotate(deployment) } catch { Issue.record(error) }
    }
    let expected = try stage.expected(sampling)
    #expect(try stage.results("texts.h5") == expected)
    #expect(keys == [2] && report.keyNumber == 2)
    // What was asked before is seen under both keys.
    let sent = stage.tokensSent(expected)
    let seen = try #require(report.rowsSeen)
    #expect(seen > sent && seen < 2 * sent)
  }

  /// Begun under the key before: by a process that was killed, gone on with by one that is told of the new key at once.
  @Test func aRotationBetweenTwoProcesses() throws {
    let stage = try Stage()
    let host = stage.host()
    defer { host.shutDown() }
    let deployment = try stage.fixture.deployed(stage.source)
    let channel = MortalChannel(
      stage.fixture.network.connect(stage.fixture.clients[0].keys.ownerKey), operations: 60)
    #expect(throws: TransportError.closed) { try stage.generate(deployment, to: "texts.h5", over: channel) }
    try stage.rotate(deployment)
    try stage.generate(deployment, to: "texts.h5")
    #expect(try stage.results("texts.h5") == stage.expected(try Stage.greedy))
  }

  @Test func twoClientsAtOnce() throws {
    let stage = try Stage()
    let host = stage.host()
    defer { host.shutDown() }
    let deployment = try stage.fixture.deployed(stage.source)
    DispatchQueue.concurrentPerform(iterations: 2) { client in
      do {
        try stage.generate(deployment, as: client, to: "texts-\(client).h5", sampling: TokenSampling(temperature: 1))
      } catch { Issue.record(error) }
    }
    let expected = try stage.expected(TokenSampling(temperature: 1))
    for client in 0..<2 { #expect(try stage.results("texts-\(client).h5") == expected) }
    let sent = stage.tokensSent(expected)
    #expect(try stage.fixture.host(deployment).status().clients.map(\.rows) == [sent, sent])
  }

  /// Its keys and values are given back, without a word from it.
  @Test func aClientThatVanishesFreesItsSessions() throws {
    let stage = try Stage()
    let host = stage.host(ownerSilence: .seconds(5))
    defer { host.shutDown() }
    let deployment = try stage.fixture.deployed(stage.source)
    let channel = MortalChannel(
      stage.fixture.network.connect(stage.fixture.clients[0].keys.ownerKey), operations: 100)
    #expect(throws: TransportError.closed) { try stage.generate(deployment, to: "texts.h5", over: channel) }
    func sessions(_ expected: Double) -> Bool {
      let deadline = ContinuousClock.now + .seconds(120)
      while ContinuousClock.now < deadline {
        if stage.metric("trainer_deployment_sessions", of: host) == expected { return true }
        Thread.sleep(forTimeInterval: 0.05)
      }
      return false
    }
    #expect(sessions(6), "all of them are under way")
    #expect(sessions(0))
    // Ended in order, it says so itself.
    try stage.generate(deployment, to: "texts.h5")
    #expect(sessions(0))
  }

  @Test func interruptionsAndLimits() throws {
    let stage = try Stage()
    let host = stage.host()
    defer { host.shutDown() }
    let expected = try stage.expected(try Stage.greedy)
    let deployment = try stage.fixture.deployed(stage.source, maximumRows: stage.tokensSent(expected) + 10)
    let interruption = Flag()
    var tokens = 0
    let stopped = #expect(throws: OwnerError.self) {
      try stage.generate(deployment, to: "texts.h5", interruption: interruption) { event in
        if case .token = event { tokens += 1 }
        if tokens == 20 { interruption.raise() }
      }
    }
    #expect(stopped?.kind == .unreachable)
    #expect(stopped?.description.contains("interrupted; what is answered is kept in") == true)
    #expect(!stage.fixture.directory.url("texts.h5").isThere)
    // Other options are another command.
    let other = #expect(throws: OwnerError.self) { try stage.generate(deployment, to: "texts.h5", mostTokens: 21) }
    #expect(other?.kind == .usage && other?.description.contains("texts of another command") == true)
    try stage.generate(deployment, to: "texts.h5")
    #expect(try stage.results("texts.h5") == expected)
    // Ten are left.
    let used = #expect(throws: OwnerError.self) { try stage.generate(deployment, as: 1, to: "used.h5") }
    #expect(used?.kind == .refused && used?.description.contains("tokens in all") == true)
    #expect(stage.fixture.directory.url("used.h5.partial").isThere)
  }

  @Test func aDeploymentThatIsTakenDown() throws {
    let stage = try Stage()
    let host = stage.host()
    defer { host.shutDown() }
    let deployment = try stage.fixture.deployed(stage.source)
    var tokens = 0
    let gone = #expect(throws: OwnerError.self) {
      try stage.generate(deployment, to: "texts.h5") { event in
        guard case .token = event else { return }
        tokens += 1
        if tokens == 30 { do { try stage.fixture.host(deployment).undeploy() } catch { Issue.record(error) } }
      }
    }
    #expect(gone?.kind == .refused, "\(String(describing: gone))")
  }

  /// A text that takes long beside many that do not: the host remembers 64 sessions of a client, and it is among them to the end.
  @Test func aLongTextBesideManyShortOnes() throws {
    let stage = try GenerationStage<Float>(lengths: [2] + [Int](repeating: 95, count: 150))
    let host = stage.host()
    defer { host.shutDown() }
    let deployment = try stage.fixture.deployed(stage.source)
    let report = try stage.generate(deployment, to: "texts.h5", mostTokens: nil)
    #expect(report.tokens == 64 + 150)
    let found = try stage.results("texts.h5")
    #expect(found[0].tokens.count == 64 && found.dropFirst().allSatisfy { $0.tokens.count == 1 })
    #expect(report.rowsSeen == stage.tokensSent(found))
  }

  /// Its numbers were put back by a restored copy: the host says which were used.
  @Test func aDirectoryThatIsRestoredFromACopy() throws {
    let stage = try Stage()
    let host = stage.host()
    defer { host.shutDown() }
    let deployment = try stage.fixture.deployed(stage.source)
    let expected = try stage.expected(try Stage.greedy)
    try stage.generate(deployment, to: "first.h5")
    try FileManager.default.removeItem(at: stage.fixture.given("ward").root.appending(path: "questions.json"))
    let report = try stage.generate(deployment, to: "second.h5")
    #expect(try stage.results("second.h5") == expected && report.rowsSeen == 2 * stage.tokensSent(expected))
    // Nor does a question take a number of theirs.
    try FileManager.default.removeItem(at: stage.fixture.given("ward").root.appending(path: "questions.json"))
    try stage.fixture.query(deployment, stage.prompts, to: "answers.h5")
    #expect(try stage.fixture.given("ward").takeNumbers(1, after: 0) == 14)
  }
}

extension GenerationStage {
  func rotate(_ deployment: OwnerRole.Deployment<Element>) throws {
    var owned = try OwnerRole.Deployment<Element>(opening: deployment.directory, owner: fixture.owner)
    try owned.begin("rotate") { try $0.rotate(nil) }
    try owned.bringIntoForce(at: fixture.host(owned), model: { try source.open() })
  }

  /// A number of the metrics page.
  func metric(_ name: String, of host: TrainerHost<Element>) -> Double? {
    var text = MetricsText()
    host.deploymentMetrics.add(to: &text, memoryLimit: 0)
    let line = text.text.split(separator: "\n").first { $0.hasPrefix(name + " ") }
    return line.flatMap { Double($0.dropFirst(name.count + 1)) }
  }
}
