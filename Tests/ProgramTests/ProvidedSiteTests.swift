import Foundation
import TestSupport
import Testing

/// A federation of three sites of which one trains at a provider: an aggregator, a trainer and three `join`s, each a process.
@Suite(.waiting)
struct ProvidedSiteTests {
  private let parties: FederationParties
  private var site: Site { parties.site }

  init() throws {
    parties = try FederationParties(local: Self.local)
    #expect(try site.run(.trainer, ["keygen", "trainer"]).code == 0)
    try site.write(site.text("a/owner.pub").split(separator: "\n").last.map { "\($0)\n" } ?? "", to: "owners.txt")
  }

  /// Long enough for a round to be interrupted.
  private static let local = "{updates: 400}"

  private func name(trainer: String, masking: String = "rotation") throws {
    try site.write(
      "name: a\ndata: {file: a.h5, features: X, labels: y}\nthreads: 1\ntrainer: \(trainer)\nmasking: {strength: \(masking)}\n",
      to: "a.yaml")
  }

  /// The numbers of a file whose tensors are all of float32.
  private func numbers(_ path: String) throws -> [Float] {
    let bytes = [UInt8](try site.bytes(path))
    let header = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    let data = Array(bytes.dropFirst(8 + header))
    return stride(from: 0, to: data.count, by: 4).map { place in
      Float(bitPattern: data[place..<place + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) })
    }
  }

  @Test(arguments: ["fedavg", "scaffold"])
  func aSiteAtAProviderEndsWithTheModelOfAllThoughBothWereKilled(strategy: String) throws {
    try parties.writeCharter(strategy: strategy, local: Self.local)
    let trainer = try site.startTrainer()
    try name(trainer: trainer.endpoint)
    // All parties in one process, without the provider.
    try parties.simulate()
    let server = try site.start(.aggregator, parties.serve + ["--bind", parties.address])
    let others = try ["b", "c"].map { try site.start(.encryptor, parties.join($0)) }
    let first = try site.start(.encryptor, parties.join("a", "--trainer-key", "trainer/trainer.pub"))
    #expect(Waiting.until(60) { first.errors.contains("local steps are made by") || first.hasEnded })
    #expect(first.errors.contains("under one key of this run"), "\(first.errors)")
    #expect(Waiting.until(60) { hasSteps("run-a") || first.hasEnded })
    first.signal(SIGKILL)
    #expect(try site.end(first).code == 128 + SIGKILL)
    let second = try site.start(.encryptor, parties.join("a", "--trainer-key", "trainer/trainer.pub", "--resume"))
    #expect(Waiting.until(60) { second.errors.contains("round 1/3 done") || second.hasEnded })
    #expect(Waiting.until(60) { hasSteps("run-a") || second.hasEnded })
    trainer.process.signal(SIGKILL)
    #expect(try trainer.process.wait() == 128 + SIGKILL)
    _ = try site.startTrainer(bind: trainer.endpoint)
    let ended = try site.end(second)
    try #require(ended.code == 0, "\(ended.errors)")
    for child in others { #expect(try child.wait() == 0, "\(child.errors)") }
    #expect(try server.wait(seconds: 60) == 0)
    let model = try numbers("run-a/model/model.safetensors")
    #expect(try model == numbers("run-b/model/model.safetensors"))
    let expected = try numbers("simulated/a/model/model.safetensors")
    // 1,200 steps in single precision under a rotation: relative to the largest weight.
    let largest = expected.map { abs($0) }.max() ?? 1
    for (a, b) in zip(model, expected) { #expect(abs(a - b) <= 1e-5 * largest) }
    #expect(model.count == expected.count)
    let left = try FileManager.default.subpathsOfDirectory(atPath: site["store"]).filter { $0.hasSuffix("job.json") }
    #expect(left.isEmpty, "the trainer keeps no job of a round that is over")
  }

  /// Whether some steps of a round at the provider are written down.
  private func hasSteps(_ run: String) -> Bool {
    site.text("\(run)/state/provider/history.jsonl").split(separator: "\n").count > 20
  }

  @Test func keysOfTheProviderThatAreMissingWrongOrForNobody() throws {
    try site.run(.encryptor, parties.join("b", "--trainer-key", "trainer/trainer.pub"))
      .expectRefusal(2, saying: "--trainer-key is for a site file with `trainer:`")
    let trainer = try site.startTrainer()
    try name(trainer: trainer.endpoint)
    try site.run(.encryptor, parties.join("a"))
      .expectRefusal(2, saying: "names the trainer \(trainer.endpoint) and not its key", "--trainer-key FILE")
    #expect(!site.exists("run-a"))
    try site.run(.encryptor, parties.join("a", "--trainer-key", "b/owner.pub", "--patience", "20"))
      .expectRefusal(4, saying: trainer.endpoint, "does not hold the server key", afterProgress: true)
  }

  @Test func aProviderThatDoesNotListTheSiteOrIsAway() throws {
    try site.write("", to: "owners.txt")
    let trainer = try site.startTrainer()
    try name(trainer: trainer.endpoint)
    try site.run(.encryptor, parties.join("a", "--trainer-key", "trainer/trainer.pub"))
      .expectRefusal(6, saying: "does not admit this owner's key", afterProgress: true)
    trainer.process.signal(SIGTERM)
    #expect(try trainer.process.wait() == 0)
    try site.run(.encryptor, parties.join("a", "--trainer-key", "trainer/trainer.pub", "--resume", "--patience", "1"))
      .expectRefusal(5, saying: "provider's trainer at \(trainer.endpoint)", "--resume", afterProgress: true)
  }

  @Test func aCharterThatAProviderCannotCarryOut() throws {
    try parties.writeCharter(settings: ", masking: {strength: none}")
    try name(trainer: "tcp://127.0.0.1:1")
    try site.run(.encryptor, parties.join("a", "--trainer-key", "trainer/trainer.pub"))
      .expectRefusal(2, saying: "a.yaml:4", "everybody who has the charter can draw the starting weights")
    #expect(!site.exists("run-a"))
  }
}
