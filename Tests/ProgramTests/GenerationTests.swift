import Foundation
import TestSupport
import Testing

@testable import Datasets

/// Texts that a deployed model generates, by the commands that a person gives.
@Suite(.waiting)
struct GenerationTests {
  private let site: Site

  init() throws {
    site = try Site()
    try TinyTexts.writeModel(to: URL(filePath: site["model"]))
    try TinyTexts.write([[1, 2, 3], [7], [5, 4, 3, 2, 1]], to: URL(filePath: site["prompts.h5"]))
    for client in ["ward", "clinic"] { #expect(try site.encryptor("keygen", client).code == 0) }
  }

  @discardableResult
  private func deploy(_ options: String...) throws -> RunningTrainer {
    let trainer = try site.startTrainer()
    let deployed = try site.run(
      .encryptor,
      [
        "deploy", "model", "--task", "causal-lm", "--keys", "owner", "--trainer", trainer.endpoint, "--trainer-key",
        "trainer/trainer.pub", "--out", "deployment", "--threads", "1", "--client", "ward=ward/owner.pub",
      ] + options)
    #expect(deployed.code == 0, "\(deployed.errors)")
    return trainer
  }

  private func arguments(_ out: String, keys: String = "ward", prompts: String = "prompts.h5") -> [String] {
    [
      "generate", "deployment/clients/ward", "--keys", keys, "--prompts", prompts, "--out", out, "--threads", "1",
    ]
  }

  private func generate(_ out: String, _ options: String...) throws -> Ended {
    try site.run(.encryptor, arguments(out) + options)
  }

  private func tokens(_ file: String, _ dataset: String = "tokens") throws -> [[Int32]] {
    let array = try HDF5File(path: site[file]).openArray(dataset)
    var values = [Int32](repeating: 0, count: array.rows * array.columns)
    try array.read(rows: 0..<array.rows, as: .int32, into: &values)
    return (0..<array.rows).map { Array(values[$0 * array.columns..<($0 + 1) * array.columns]) }
  }

  @Test func textsAreGeneratedStreamedAndReported() throws {
    try deploy()
    let first = try generate("a.h5", "--max-tokens", "10", "--seed", "3")
    #expect(first.code == 0, "\(first.errors)")
    #expect(first.output.contains("30 tokens after 3 prompts in"))
    #expect(first.output.contains("the host has seen 36 tokens of this deployment"))
    #expect(first.errors.contains("seed 3\n"))
    let found = try tokens("a.h5")
    #expect(found.count == 3 && found.allSatisfy { $0.count == 10 })
    #expect(try tokens("a.h5", "lengths") == [[10], [10], [10]] && tokens("a.h5", "finished") == [[0], [0], [0]])
    #expect(try tokens("a.h5", "seed") == [[3]])

    // One after the other, a line each; the report is elsewhere.
    let streamed = try generate("b.h5", "--max-tokens", "10", "--seed", "3", "--stream")
    #expect(streamed.code == 0, "\(streamed.errors)")
    let lines = found.enumerated().flatMap { row, tokens in tokens.map { "\(row) \($0)\n" } }.joined()
    #expect(streamed.output == lines && streamed.errors.contains("30 tokens after 3 prompts"))
    #expect(try tokens("b.h5") == found)

    let report = try generate("c.h5", "--max-tokens", "5", "--temperature", "0", "--json")
    #expect(report.code == 0, "\(report.errors)")
    let json = try #require(try JSONSerialization.jsonObject(with: Data(report.output.utf8)) as? [String: Any])
    #expect(json["tokens"] as? Int == 15 && json["rows"] as? Int == 3 && json["rowsSeen"] as? Int == 36 + 36 + 21)
    #expect(json["seed"] == nil && json["keyNumber"] as? Int == 1 && json["finished"] as? Int == 0)
    let drawn = try generate("d.h5", "--max-tokens", "5", "--top-p", "0.9", "--json")
    let drawnJSON = try #require(try JSONSerialization.jsonObject(with: Data(drawn.output.utf8)) as? [String: Any])
    let seed = try #require(drawnJSON["seed"] as? Int)
    let again = try generate("e.h5", "--max-tokens", "5", "--top-p", "0.9", "--seed", "\(seed)")
    #expect(again.code == 0)
    #expect(try tokens("d.h5") == tokens("e.h5"))
  }

  /// Ctrl-C, and a host that is away; then the same command goes on.
  @Test func anInterruptedCommandGoesOn() throws {
    let trainer = try deploy()
    let whole = try generate("a.h5", "--temperature", "0", "--max-tokens", "90")
    #expect(whole.code == 0, "\(whole.errors)")
    let child = try site.start(
      .encryptor, arguments("b.h5") + ["--temperature", "0", "--max-tokens", "90", "--stream"])
    #expect(Waiting.until(60) { child.output.count { $0 == "\n" } > 20 || child.hasEnded })
    kill(child.processID, SIGINT)
    let stopped = try site.end(child)
    // It may have been faster.
    if stopped.code != 0 {
      #expect(stopped.code == 5, "\(stopped.errors)")
      #expect(stopped.errors.hasSuffix("b.h5.partial: the same command goes on there\n"), "\(stopped.errors)")
      #expect(site.exists("b.h5.partial") && !site.exists("b.h5"))
      try site.run(.encryptor, arguments("b.h5") + ["--temperature", "0", "--max-tokens", "89"])
        .expectRefusal(2, saying: "texts of another command", afterProgress: true)
      kill(trainer.process.processID, SIGKILL)
      _ = try site.end(trainer.process)
      try generate("b.h5", "--temperature", "0", "--max-tokens", "90", "--patience", "1")
        .expectRefusal(5, saying: "does not answer", afterProgress: true)
      _ = try site.startTrainer(bind: trainer.endpoint)
      let resumed = try generate("b.h5", "--temperature", "0", "--max-tokens", "90", "--stream")
      #expect(resumed.code == 0, "\(resumed.errors)")
    }
    #expect(try tokens("a.h5") == tokens("b.h5"))
    #expect(!site.exists("b.h5.partial"))
  }

  @Test func rowsThatAreUsedUp() throws {
    try deploy("--max-rows", "20")
    try generate("a.h5", "--max-tokens", "10").expectRefusal(6, saying: "20", afterProgress: true)
    #expect(site.exists("a.h5.partial"))
    // The owner allows more, and the same command goes on; then it is killed before its last act, which removes what it kept.
    try FileManager.default.linkItem(atPath: site["a.h5.partial"], toPath: site["kept"])
    let changed = try site.encryptor("clients", "deployment", "--max-rows", "36", "--threads", "1")
    #expect(changed.code == 0, "\(changed.errors)")
    let whole = try generate("a.h5", "--max-tokens", "10")
    #expect(whole.code == 0 && whole.output.contains("seen 36 tokens"), "\(whole.output)\(whole.errors)")
    let found = try tokens("a.h5")
    try FileManager.default.moveItem(atPath: site["kept"], toPath: site["a.h5.partial"])
    let again = try generate("a.h5", "--max-tokens", "10", "--stream")
    #expect(
      again.code == 0 && again.output.isEmpty && again.errors.contains("a.h5 was whole already"), "\(again.errors)")
    #expect(try tokens("a.h5") == found && !site.exists("a.h5.partial"))
  }

  @Test func whatCannotBeGenerated() throws {
    try generate("a.h5").expectRefusal(2, saying: "holds no client.json")
    for (options, problem) in [
      (["--temperature=-1"], "--temperature must be 0"), (["--temperature=nan"], "--temperature must be 0"),
      (["--top-k=-1"], "--top-k must be 0"), (["--top-p=0"], "--top-p must be above 0"),
      (["--top-p=1.5"], "--top-p must be above 0"), (["--seed=-1"], "--seed must be 0"),
      (["--max-tokens=0"], "--max-tokens must be 1"), (["--stream", "--json"], "give one"),
    ] {
      let ended = try site.run(.encryptor, arguments("a.h5") + options)
      #expect(ended.code == 2 && ended.errors.contains(problem), "\(options): \(ended)")
    }
    try deploy()
    try site.run(.encryptor, arguments("a.h5", keys: "clinic")).expectRefusal(
      4, saying: "the client key", afterProgress: true)
    try generate("prompts.h5").expectRefusal(2, saying: "prompts.h5 is there already")
    try generate("a.h5", "--max-tokens", "92").expectRefusal(
      3, saying: "row 2: the prompt has 5 tokens", "takes at most 96", afterProgress: true)
    try generate("a.h5", "--features", "nowhere").expectRefusal(3, saying: "nowhere", afterProgress: true)
    try TinyTexts.write([[1], [2, 20]], to: URL(filePath: site["bad.h5"]))
    try site.run(.encryptor, arguments("a.h5", prompts: "bad.h5"))
      .expectRefusal(3, saying: "row 1, column 1", "ids are 0–19", afterProgress: true)
    #expect(!site.exists("a.h5.partial"))
    // The form of a later program.
    let description = site.text("deployment/clients/ward/client.json")
    try site.write(
      description.replacing("\"version\" : 1", with: "\"version\" : 2"), to: "deployment/clients/ward/client.json")
    try generate("a.h5").expectRefusal(2, saying: "is of version 2 of its form")
  }
}
