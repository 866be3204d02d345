import Foundation
import Testing
import TestSupport

@testable import Datasets

/// Jobs that end well, by each command that has a part in them.
@Suite(.waiting)
struct RunTests {
  private let site: Site

  init() throws {
    site = try Site()
    try DataFile().write(to: site["data.h5"])
    try site.write(JobText().text, to: "job.yaml")
  }

  private func json(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  @Test(arguments: ["classification", "regression"], ["owner", "trainer"])
  func run(task: String, loss: String) throws {
    try site.write(
      JobText(task: task, labels: task == "regression" ? "v" : "y", loss: loss, standardize: true).text, to: "job.yaml")
    let trainer = try site.startTrainer()
    let ended = try site.run(.encryptor, site.launch(trainer: trainer.endpoint))
    #expect(ended.code == 0, "\(ended.errors)")
    // Results on standard output, progress on standard error.
    #expect(ended.output.contains("where the time went"))
    #expect(ended.output.hasSuffix("model: \(site["run/model"])\n"))
    #expect(ended.errors.hasPrefix("tiny: 45 rows to train on, 15 to validate on, 4 features"))
    #expect(ended.errors.contains("epoch 2/2"))
    #expect(!ended.output.contains("\u{1B}") && !ended.errors.contains("\u{1B}"), "no bar without a terminal")
    for file in [
      "job.resolved.yaml", "plan.h5", "initial.safetensors", "history.jsonl", "summary.json", "model/model.safetensors",
      "model/README.md", "model/standardization.safetensors",
    ] {
      #expect(site.exists("run/\(file)"), "\(file)")
    }
    // 45 rows in batches of 16 are 3 steps; one evaluation each epoch; one line says what multiplied.
    #expect(site.text("run/history.jsonl").split(separator: "\n").count == 2 * (3 + 1) + 1)
    #expect(Waiting.until(10) { trainer.process.errors.contains("job removed") })
    #expect(trainer.process.output == "listening \(trainer.endpoint)\n", "results only")
    let log = trainer.process.errors
    #expect(log.hasSuffix("\n") && !log.contains("[trainer]"))
    #expect(log.contains("job accepted") && log.contains("job finished"))

    let again = try site.run(.encryptor, site.launch(trainer: trainer.endpoint, ["--resume"]))
    #expect(again.code == 0 && again.output.contains("already finished"))
  }

  @Test func everyCommandWithAnAdapterAndNoise() throws {
    let defences = "masking={strength: rotation, adapter: {width: 6}, noise: {sigma: 0.05}}"
    let planned = try site.encryptor("plan", "job.yaml", "--set", defences)
    for words in ["adapter.weight   6 × 5", "adapter   6      orthogonal", "not for the clean ones"] {
      #expect(planned.output.contains(words), "\(words): \(planned.output)\(planned.errors)")
    }
    let verified = try site.encryptor("verify", "job.yaml", "--steps", "6", "--set", defences)
    #expect(verified.code == 0, "\(verified.output)\(verified.errors)")
    let trainer = try site.startTrainer()
    let ended = try site.run(.encryptor, site.launch(trainer: trainer.endpoint, ["--set", defences]))
    #expect(ended.code == 0, "\(ended.errors)")
    let predicted = try site.encryptor("predict", "run", "--data", "data.h5", "--out", "p.h5")
    #expect(predicted.code == 0, "\(predicted.errors)")
  }

  @Test func predict() throws {
    let trainer = try site.startTrainer()
    #expect(try site.run(.encryptor, site.launch(trainer: trainer.endpoint)).code == 0)
    try DataFile(rows: 300).write(to: site["new.h5"])
    let ended = try site.encryptor("predict", "run", "--data", "new.h5", "--out", "p.h5")
    #expect(ended.code == 0, "\(ended.errors)")
    #expect(ended.output == "300 rows: p.h5\n")
    let file = try HDF5File(path: site["p.h5"])
    for (dataset, columns) in [("predictions", 1), ("probabilities", 3), ("outputs", 3)] {
      let values = try file.openFeatures(path: dataset)
      #expect(values.rows == 300 && values.columns == columns)
    }
    let status = try site.encryptor("status", "run")
    #expect(status.code == 0 && status.output == "finished\n")
  }

  @Test func predictBeforeTheEnd() throws {
    #expect(try site.run(.encryptor, site.launch(trainer: Site.unusedEndpoint(), ["--patience", "0"])).code == 5)
    try site.encryptor("predict", "run", "--data", "data.h5", "--out", "p.h5")
      .expectRefusal(2, saying: "the run is prepared, not finished")
  }

  @Test func submitStatusRetrieve() throws {
    try site.write(JobText(loss: "trainer").text, to: "job.yaml")
    let trainer = try site.startTrainer()
    let submitted = try site.run(.encryptor, site.launch("submit", trainer: trainer.endpoint, ["--detach"]))
    #expect(submitted.code == 0, "\(submitted.errors)")
    #expect(submitted.output.contains("encryptor status run"))
    var last = Ended(code: -1, output: "", errors: "")
    #expect(
      try Waiting.until(60) {
        last = try site.encryptor("status", "run")
        return last.code != 0 || last.output.hasPrefix("finished")
      }, "\(last)")
    #expect(last.output == "finished, step 6 of 6\n")
    let status = try json(try site.encryptor("status", "run", "--json").output)
    #expect(status["phase"] as? String == "detached")
    #expect((status["trainer"] as? [String: Any])?["totalSteps"] as? Int == 6)
    let retrieved = try site.encryptor("retrieve", "run")
    #expect(retrieved.code == 0, "\(retrieved.errors)")
    #expect(retrieved.output.hasSuffix("\(site["run/model"])\n"))
    #expect(site.exists("run/model/model.safetensors"))
    #expect(site.text("run/history.jsonl").split(separator: "\n").count == 9)
    #expect(try site.encryptor("status", "run").output == "finished\n")
    #expect(try site.encryptor("retrieve", "run").code == 0, "once more does no harm")
  }

  /// The key is kept elsewhere until somebody may open the weights.
  @Test func retrievedMaskedAndUnmaskedLater() throws {
    try site.write(JobText(loss: "trainer").text, to: "job.yaml")
    let trainer = try site.startTrainer()
    #expect(try site.run(.encryptor, site.launch("submit", trainer: trainer.endpoint, ["--detach"])).code == 0)
    #expect(try Waiting.until(60) { try site.encryptor("status", "run").output.hasPrefix("finished") })
    try site.encryptor("unmask", "run").expectRefusal(2, saying: "encryptor retrieve --masked run")
    try FileManager.default.moveItem(atPath: site["run/state/job.key"], toPath: site["away.key"])
    try site.encryptor("retrieve", "run").expectRefusal(4, saying: "job.key")
    let masked = try site.encryptor("retrieve", "run", "--masked")
    #expect(masked.code == 0 && masked.output.hasSuffix("\(site["run/masked.safetensors"])\n"), "\(masked.errors)")
    #expect(site.exists("run/masked.safetensors") && !site.exists("run/model"))
    #expect(try site.encryptor("status", "run").output == "masked\n")
    let again = try site.encryptor("retrieve", "run")
    #expect(again.code == 0 && again.output.contains("open it with encryptor unmask"), "\(again.errors)")
    try site.encryptor(
      "deploy", "run", "--keys", "owner", "--trainer-key", "trainer/trainer.pub", "--out", "deployment"
    ).expectRefusal(2, saying: "encryptor unmask", afterProgress: true)
    try site.encryptor("unmask", "run").expectRefusal(4, saying: "job.key")
    #expect(!site.exists("run/model"))
    try FileManager.default.moveItem(atPath: site["away.key"], toPath: site["run/state/job.key"])
    for _ in 0..<2 {
      let opened = try site.encryptor("unmask", "run")
      #expect(opened.code == 0 && opened.output == "\(site["run/model"])\n", "\(opened.errors)")
    }
    #expect(site.exists("run/model/model.safetensors") && site.exists("run/masked.safetensors"))
    #expect(try site.encryptor("status", "run").output == "finished\n")
    #expect(try site.encryptor("predict", "run", "--data", "data.h5", "--out", "p.h5").code == 0)
  }

  @Test func retrieveBeforeTheEnd() throws {
    try site.write(JobText(loss: "trainer", epochs: 3000).text, to: "job.yaml")
    let trainer = try site.startTrainer()
    #expect(try site.run(.encryptor, site.launch("submit", trainer: trainer.endpoint, ["--detach"])).code == 0)
    try site.encryptor("retrieve", "run").expectRefusal(6, saying: "of 9000", "when it is finished")
    let cancelled = try site.encryptor("cancel", "run")
    #expect(cancelled.code == 0 && cancelled.output == "cancelled\n", "\(cancelled.errors)")
    #expect(try site.encryptor("status", "run").output == "cancelled\n")
    #expect(Waiting.until(10) { (try? FileManager.default.contentsOfDirectory(atPath: site["store/jobs"])) == [] })
    try site.run(.encryptor, site.launch(trainer: trainer.endpoint, ["--resume"]))
      .expectRefusal(2, saying: "cancelled")
  }

  @Test func cancelAfterTheEnd() throws {
    let trainer = try site.startTrainer()
    #expect(try site.run(.encryptor, site.launch(trainer: trainer.endpoint)).code == 0)
    try site.encryptor("cancel", "run").expectRefusal(2, saying: "nothing to cancel")
  }

  @Test func directoryThatHoldsARun() throws {
    let trainer = try site.startTrainer()
    #expect(try site.run(.encryptor, site.launch(trainer: trainer.endpoint)).code == 0)
    let before = try site.bytes("run/model/model.safetensors")
    try site.run(.encryptor, site.launch(trainer: trainer.endpoint)).expectRefusal(
      2, saying: "already holds a run", "--resume")
    #expect(try site.bytes("run/model/model.safetensors") == before)
  }

  @Test func directoryThatHoldsSomethingElse() throws {
    try FileManager.default.createDirectory(atPath: site["run"], withIntermediateDirectories: true)
    try site.write("mine", to: "run/notes.txt")
    try site.run(.encryptor, site.launch(trainer: Site.unusedEndpoint())).expectRefusal(2, saying: "not empty")
    #expect(site.text("run/notes.txt") == "mine")
  }

  @Test func resumeWithAnotherJob() throws {
    let silent = Site.unusedEndpoint()
    #expect(try site.run(.encryptor, site.launch(trainer: silent, ["--patience", "0"])).code == 5)
    try site.run(.encryptor, site.launch(trainer: silent, ["--patience", "0", "--resume", "--set", "train.epochs=3"]))
      .expectRefusal(2, saying: "the job differs from", "job.resolved.yaml")
  }

  @Test(arguments: [["status", "run"], ["retrieve", "run"], ["cancel", "run"]])
  func noRun(_ arguments: [String]) throws {
    try site.run(.encryptor, arguments).expectRefusal(2, saying: "run holds no run")
  }

  @Test func resumeWithoutARun() throws {
    try site.run(.encryptor, site.launch(trainer: Site.unusedEndpoint(), ["--resume"]))
      .expectRefusal(2, saying: "holds no run")
  }

  @Test func verify() throws {
    let ended = try site.encryptor("verify", "job.yaml", "--steps", "5")
    #expect(ended.code == 0, "\(ended.errors)")
    #expect(ended.output.split(separator: "\n").count == 2)
    #expect(ended.output.contains("float64: largest relative weight difference") && ended.output.contains(": ok"))
  }

  @Test func plan() throws {
    let ended = try site.encryptor("plan", "job.yaml")
    #expect(ended.code == 0, "\(ended.errors)")
    for part in ["layers.0.weight", "decided by", "The trainer sees", "bytes on the wire", "orthogonal", "permutation"]
    {
      #expect(ended.output.contains(part), "\(part)")
    }
    let plan = try json(try site.encryptor("plan", "job.yaml", "--json").output)
    #expect(plan["trainingRows"] as? Int == 45)
    // (4 + 1 + 1) × 3 and 3 × 3 + 3.
    #expect(plan["parameterCount"] as? Int == 18 + 12)
    #expect((plan["spaces"] as? [[String: Any]])?.count == 3)
  }

  @Test func inspect() throws {
    let ended = try site.encryptor("inspect", "data.h5")
    #expect(ended.code == 0)
    #expect(ended.output.contains("60 × 4"))
    let inspection = try json(try site.encryptor("inspect", "data.h5", "--json").output)
    let paths = (inspection["datasets"] as? [[String: Any]])?.compactMap { $0["path"] as? String }
    #expect(paths == ["v", "x", "y"])
  }

  /// One JSON object a line.
  @Test func jsonLog() throws {
    let trainer = try site.startTrainer("--log-format", "json")
    #expect(try site.run(.encryptor, site.launch(trainer: trainer.endpoint)).code == 0)
    trainer.process.signal(SIGTERM)
    #expect(try trainer.process.wait() == 0)
    let lines = try trainer.process.errors.split(separator: "\n").map { try json(String($0)) }
    let messages = lines.compactMap { $0["message"] as? String }
    #expect(messages.first == "listening" && messages.last == "stopped")
    #expect(messages.contains("job accepted") && messages.contains("job removed"))
    #expect(lines.allSatisfy { $0["time"] is String && $0["level"] is String })
  }
}

/// Names and data are bound to a run: a wrong result must not come without a word.
@Suite(.waiting)
struct BoundDataTests {
  private let site: Site

  init() throws {
    site = try Site()
    try AnnDataFile().write(to: site["data.h5"])
    try site.write(JobText(features: "X", hidden: "[8]", epochs: 60).text, to: "job.yaml")
  }

  private func predict(_ file: String) throws -> Ended {
    try site.encryptor("predict", "run", "--data", file, "--out", "predictions.h5", "--threads", "1")
  }

  private func classes() throws -> [Int64] {
    try HDF5File(path: site["predictions.h5"]).readIntegers(path: "predictions", rows: 60)
  }

  /// A run's names as a file keeps them.
  private struct Names: Decodable {
    let columns: [String]?
    let classes: [String]?
    let rows: [String]?
  }

  private func names(_ file: String) throws -> Names {
    try JSONDecoder().decode(Names.self, from: site.bytes(file))
  }

  @Test func predictPutsPermutedColumnsInOrder() throws {
    let trainer = try site.startTrainer()
    let run = try site.run(.encryptor, site.launch(trainer: trainer.endpoint))
    #expect(run.code == 0, "\(run.errors)")
    #expect(try names("run/names.json").rows?.count == 60)
    #expect(try names("run/model/names.json").columns == AnnDataFile().names)
    #expect(try names("run/model/names.json").rows == nil)

    #expect(try predict("data.h5").code == 0)
    let expected = try classes()
    #expect(Set(expected).count > 1)
    // Ordered otherwise, and with a column that the model does not know.
    try AnnDataFile(order: [2, 0, 3, 1]).write(to: site["permuted.h5"])
    #expect(try predict("permuted.h5").code == 0)
    #expect(try classes() == expected)
    var wider = DataFile()
    wider.columns = 5
    try AnnDataFile(data: wider, order: [4, 3, 2, 1, 0], names: ["CD4", "CD8A", "MS4A1", "NKG7", "LYZ"])
      .write(to: site["wider.h5"])
    #expect(try predict("wider.h5").code == 0)
    #expect(try classes() == expected)

    try AnnDataFile(names: ["CD4", "CD8A", "MS4A1", "LYZ"]).write(to: site["missing.h5"])
    try predict("missing.h5").expectRefusal(3, saying: "1 of the model's 4 columns are missing: NKG7")
    try AnnDataFile(names: nil).write(to: site["nameless.h5"])
    try predict("nameless.h5").expectRefusal(3, saying: "has no names of columns")
    try AnnDataFile(names: ["CD4", "CD8A", "MS4A1", "MS4A1"]).write(to: site["repeated.h5"])
    try predict("repeated.h5").expectRefusal(3, saying: "NKG7")

    // As a run of a version before.
    for file in ["run/names.json", "run/model/names.json"] { try FileManager.default.removeItem(atPath: site[file]) }
    let old = try predict("permuted.h5")
    #expect(old.code == 0)
    #expect(old.errors.contains("warning: "), "\(old.errors)")
  }

  /// Killed when rows have been sent; then resumed on other data.
  @Test func resumeOnOtherDataIsRefused() throws {
    try site.write(JobText(features: "X", epochs: 150, batch: 4).text, to: "job.yaml")
    let trainer = try site.startTrainer()
    let owner = try site.start(.encryptor, site.launch(trainer: trainer.endpoint))
    #expect(Waiting.until(60) { site.text("run/history.jsonl").split(separator: "\n").count > 50 })
    owner.signal(SIGKILL)
    _ = try owner.wait()
    let resume = site.launch(trainer: trainer.endpoint, ["--resume"])

    var other = DataFile()
    let feature = other.feature
    other.feature = { row, column in feature(row, column) + (row == 17 && column == 2 ? 0.5 : 0) }
    try AnnDataFile(data: other).write(to: site["data.h5"])
    try site.run(.encryptor, resume).expectRefusal(
      3, saying: "has changed since the run began: the features differ", afterProgress: true)
    try AnnDataFile(order: [1, 0, 2, 3]).write(to: site["data.h5"])
    try site.run(.encryptor, resume).expectRefusal(3, saying: "the names of the columns differ")
    var relabelled = DataFile()
    relabelled.label = { Int64(($0 + 1) % 3) }
    try AnnDataFile(data: relabelled).write(to: site["data.h5"])
    try site.run(.encryptor, resume).expectRefusal(3, saying: "the labels differ")

    try AnnDataFile().write(to: site["data.h5"])
    // As a run of a version before.
    try FileManager.default.removeItem(atPath: site["run/state/data.json"])
    let resumed = try site.run(.encryptor, resume)
    #expect(resumed.code == 0, "\(resumed.errors)")
    #expect(resumed.errors.contains("warning: the run began with a version that kept no digest"), "\(resumed.errors)")
    #expect(site.exists("run/state/data.json"))
  }
}
