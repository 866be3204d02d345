import Foundation
import TestSupport
import Testing

/// A federation of three sites of which one trains at a provider: an aggregator, a trainer and three `join`s, each a process.
@Suite(.waiting)
struct ProvidedSiteTests {
  private let site: Site
  private let aggregator: String

  init() throws {
    site = try Site(keys: false)
    aggregator = Site.unusedEndpoint()
    for name in ["a", "b", "c"] {
      #expect(try site.encryptor("keygen", name).code == 0)
      let shift = name == "a" ? 0 : name == "b" ? 5 : 11
      let rows = DataFile(
        rows: 60 + shift,
        feature: { row, column in
          Float(((row + shift) * 37 + column * 11) % 23) / 23 - 0.5 + (column == row % 3 ? 1 : 0)
        })
      try AnnDataFile(data: rows).write(to: site["\(name).h5"])
      try site.write(
        "name: \(name)\ndata: {file: \(name).h5, features: X, labels: y}\nthreads: 1\n", to: "\(name).yaml")
    }
    #expect(try site.run(.aggregator, ["keygen", "aggregator"]).code == 0)
    #expect(try site.run(.trainer, ["keygen", "trainer"]).code == 0)
    #expect(try site.encryptor("group-key", "group").code == 0)
    try site.write(site.text("a/owner.pub").split(separator: "\n").last.map { "\($0)\n" } ?? "", to: "owners.txt")
    try writeCharter()
  }

  private func writeCharter(strategy: String = "fedavg") throws {
    try site.write(
      """
      name: provided
      aggregator: {address: "\(aggregator)", key: aggregator/aggregator.pub}
      sites: [{name: a, key: a/owner.pub}, {name: b, key: b/owner.pub}, {name: c, key: c/owner.pub}]
      data: {columns: [CD4, CD8A, MS4A1, NKG7], classes: ["0", "1", "2"]}
      task: classification
      model: {mlp: {hidden: [5], activation: tanh}}
      optimizer: {lr: 0.05, momentum: 0}
      train: {batch: 16}
      federation: {rounds: 3, local: {updates: 400}, strategy: {name: \(strategy)}, participation: {minimum: 3, patience: 120}}
      """, to: "charter.yaml")
  }

  private func name(trainer: String, masking: String = "rotation") throws {
    try site.write(
      "name: a\ndata: {file: a.h5, features: X, labels: y}\nthreads: 1\ntrainer: \(trainer)\nmasking: {strength: \(masking)}\n",
      to: "a.yaml")
  }

  private func join(_ name: String, _ options: String...) -> [String] {
    [
      "join", "\(name).yaml", "--charter", "charter.yaml", "--keys", name, "--group-key", "group/group.key", "--out",
      "run-\(name)",
    ] + options
  }

  private let serve = ["serve", "--keys", "aggregator", "--charter", "charter.yaml", "--store", "aggregator-store"]

  /// The numbers of a file whose tensors are all of float32.
  private func numbers(_ path: String) throws -> [Float] {
    let bytes = [UInt8](try site.bytes(path))
    let header = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    let data = Array(bytes.dropFirst(8 + header))
    return stride(from: 0, to: data.count, by: 4).map { place in
      Float(bitPattern: data[place..<place + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) })
    }
  }

  @Test func aSiteAtAProviderEndsWithTheModelOfAllThoughBothWereKilled() throws {
    let trainer = try site.startTrainer()
    try name(trainer: trainer.endpoint)
    // All parties in one process, without the provider.
    let simulated = try site.encryptor(
      "simulate", "charter.yaml", "a.yaml", "b.yaml", "c.yaml", "--group-key", "group/group.key", "--out", "simulated",
      "--threads", "1")
    try #require(simulated.code == 0, "\(simulated.errors)")
    let server = try site.start(.aggregator, serve + ["--bind", aggregator])
    let others = try ["b", "c"].map { try site.start(.encryptor, join($0)) }
    let first = try site.start(.encryptor, join("a", "--trainer-key", "trainer/trainer.pub"))
    #expect(Waiting.until(60) { first.errors.contains("local steps are made by") || first.hasEnded })
    #expect(first.errors.contains("under one key of this run"), "\(first.errors)")
    #expect(Waiting.until(60) { hasSteps("run-a") || first.hasEnded })
    first.signal(SIGKILL)
    #expect(try site.end(first).code == 128 + SIGKILL)
    let second = try site.start(.encryptor, join("a", "--trainer-key", "trainer/trainer.pub", "--resume"))
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
    try site.run(.encryptor, join("b", "--trainer-key", "trainer/trainer.pub"))
      .expectRefusal(2, saying: "--trainer-key is for a site file with `trainer:`")
    let trainer = try site.startTrainer()
    try name(trainer: trainer.endpoint)
    try site.run(.encryptor, join("a"))
      .expectRefusal(2, saying: "names the trainer \(trainer.endpoint) and not its key", "--trainer-key FILE")
    #expect(!site.exists("run-a"))
    try site.run(.encryptor, join("a", "--trainer-key", "b/owner.pub", "--patience", "20"))
      .expectRefusal(4, saying: trainer.endpoint, "does not hold the server key", afterProgress: true)
  }

  @Test func aProviderThatDoesNotListTheSiteOrIsAway() throws {
    try site.write("", to: "owners.txt")
    let trainer = try site.startTrainer()
    try name(trainer: trainer.endpoint)
    try site.run(.encryptor, join("a", "--trainer-key", "trainer/trainer.pub"))
      .expectRefusal(6, saying: "does not admit this owner's key", afterProgress: true)
    trainer.process.signal(SIGTERM)
    #expect(try trainer.process.wait() == 0)
    try site.run(.encryptor, join("a", "--trainer-key", "trainer/trainer.pub", "--resume", "--patience", "1"))
      .expectRefusal(5, saying: "provider's trainer at \(trainer.endpoint)", "--resume", afterProgress: true)
  }

  @Test func aCharterThatAProviderCannotCarryOut() throws {
    try writeCharter(strategy: "scaffold")
    try name(trainer: "tcp://127.0.0.1:1")
    try site.run(.encryptor, join("a", "--trainer-key", "trainer/trainer.pub"))
      .expectRefusal(2, saying: "a.yaml:4", "the charter's strategy scaffold corrects the gradient of every local step")
    #expect(!site.exists("run-a"))
  }
}
