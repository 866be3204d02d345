import Foundation
import Testing
import TestSupport

@testable import Datasets

/// Fine-tuning a transformer with the two programs, and the jobs that they turn down.
@Suite(.waiting)
struct TokenRunTests {
  private let site: Site

  init() throws {
    site = try Site()
    try TokenFiles().write(to: site)
    try writeJob()
  }

  private func writeJob(
    task: String = "classification", labels: String = "labels", model: String = "", loss: String = "owner",
    train: String = "micro_batch: 4", masking: String = "base_model: private"
  ) throws {
    try site.write(
      """
      name: tokens
      data: {file: tokens.h5, tokens: ids, mask: mask, labels: \(labels), split: {validation: 0.25, seed: 7}}
      task: \(task)
      model: {huggingface: bert\(model)}
      masking: {\(masking)}
      loss: {where: \(loss)}
      optimizer: {name: sgd, lr: 0.05, momentum: 0.9}
      train: {epochs: 2, batch: 8, seed: 1, keep: best, \(train)}
      checkpoint: {every_steps: 3}
      """, to: "job.yaml")
  }

  private func plan() throws -> Ended { try site.encryptor("plan", "job.yaml") }

  private func expectColumns(_ file: String, _ dataset: String, _ columns: Int, rows: Int) throws {
    let values = try HDF5File(path: site[file]).openFeatures(path: dataset)
    #expect(values.rows == rows && values.columns == columns, "\(dataset)")
  }

  @Test func submitRetrievePredict() throws {
    try writeJob(loss: "trainer")
    let trainer = try site.startTrainer()
    let submitted = try site.run(.encryptor, site.launch("submit", trainer: trainer.endpoint, ["--detach"]))
    #expect(submitted.code == 0, "\(submitted.errors)")
    var last = Ended(code: -1, output: "", errors: "")
    #expect(
      try Waiting.until(60) {
        last = try site.encryptor("status", "run")
        return last.code != 0 || last.output.hasPrefix("finished")
      }, "\(last)")
    // 30 rows in batches of 8 are 4 steps an epoch.
    #expect(last.output == "finished, step 8 of 8\n")
    let retrieved = try site.encryptor("retrieve", "run")
    #expect(retrieved.code == 0, "\(retrieved.errors)")
    #expect(site.exists("run/model/model.safetensors") && site.exists("run/model/config.json"))

    try TokenFiles(rows: 50).writeTokens(to: site["new.h5"])
    let predicted = try site.encryptor("predict", "run", "--data", "new.h5", "--out", "p.h5")
    #expect(predicted.code == 0 && predicted.output == "50 rows: p.h5\n", "\(predicted.errors)")
    for (dataset, columns) in [("predictions", 1), ("probabilities", 3)] {
      try expectColumns("p.h5", dataset, columns, rows: 50)
    }

    var wrong = TokenFiles()
    wrong.id = { row, column in row == 5 && column == 1 ? 20 : 1 }
    try wrong.writeTokens(to: site["new.h5"])
    try site.encryptor("predict", "run", "--data", "new.h5", "--out", "q.h5")
      .expectRefusal(3, saying: "new.h5", "row 5, column 1", "0–19")
    #expect(!site.exists("q.h5"))
  }

  @Test func runAndPredictTags() throws {
    try writeJob(task: "token-classification", labels: "tags", model: ", train: lora, lora: {targets: [query]}")
    let trainer = try site.startTrainer()
    let ended = try site.run(.encryptor, site.launch(trainer: trainer.endpoint))
    #expect(ended.code == 0, "\(ended.errors)")
    #expect(site.exists("run/model/adapter_model.safetensors"))
    let predicted = try site.encryptor("predict", "run", "--data", "tokens.h5", "--out", "p.h5")
    #expect(predicted.code == 0, "\(predicted.errors)")
    try expectColumns("p.h5", "predictions", TokenFiles.columns, rows: 40)
  }

  private static let publicBase =
    "masking.base_model is public: a provider that has the checkpoint can work the residual key out"

  @Test(arguments: ["run", "submit"], ["owner", "trainer"])
  func aPublicBaseModelIsToldBeforeAnythingIsSent(command: String, loss: String) throws {
    try writeJob(loss: loss, masking: "base_model: public")
    // Nobody listens: what is told is told before.
    let ended = try site.run(.encryptor, site.launch(command, trainer: Site.unusedEndpoint(), ["--patience", "0"]))
    #expect(ended.code == 5, "\(ended.errors)")
    #expect(ended.errors.contains(Self.publicBase) && !ended.output.contains(Self.publicBase), "\(ended.errors)")
    #expect(try plan().output.contains(Self.publicBase))
  }

  @Test func aPrivateBaseModelIsNotWarnedOf() throws {
    let ended = try site.run(.encryptor, site.launch(trainer: Site.unusedEndpoint(), ["--patience", "0"]))
    #expect(ended.code == 5 && !ended.errors.contains("base_model"), "\(ended.errors)")
  }

  @Test func aBaseModelOfWhichItIsNotSaidWhoHasIt() throws {
    try writeJob(masking: "strength: permutation")
    try plan().expectRefusal(2, saying: "`masking.base_model` is missing", "`public`: it can", "`private`: only you")
  }

  @Test func runAndPredictWithNoise() throws {
    try writeJob(masking: "base_model: private, noise: {sigma: 0.1}")
    let trainer = try site.startTrainer()
    let ended = try site.run(.encryptor, site.launch(trainer: trainer.endpoint))
    #expect(ended.code == 0 && ended.errors.contains("secret noise of deviation 0.1"), "\(ended.errors)")
    #expect(site.text("run/model/README.md").contains("Gaussian noise of deviation 0.1"))
    let predicted = try site.encryptor("predict", "run", "--data", "tokens.h5", "--out", "p.h5")
    #expect(predicted.code == 0, "\(predicted.errors)")
    try expectColumns("p.h5", "predictions", 1, rows: 40)
  }

  @Test func interruptedInTheMiddle() throws {
    try writeJob(train: "micro_batch: 2, recompute: true, accumulate: 2")
    let silent = Site.unusedEndpoint()
    #expect(
      try site.run(.encryptor, site.launch(trainer: silent, ["--patience", "0", "--set", "train.epochs=400"])).code == 5
    )
    try FileManager.default.copyItem(atPath: site["run"], toPath: site["undisturbed"])
    var trainer = try site.startTrainer(bind: silent)
    let options = ["--resume", "--set", "train.epochs=400"]
    let owner = try site.start(.encryptor, site.launch(trainer: silent, options))
    #expect(Waiting.until(30) { site.text("run/history.jsonl").split(separator: "\n").count > 20 })
    owner.signal(SIGINT)
    try site.end(owner).expectRefusal(5, saying: "--resume", afterProgress: true)
    let again = try site.start(.encryptor, site.launch(trainer: silent, options + ["--patience", "60"]))
    let before = site.text("run/history.jsonl").count
    #expect(Waiting.until(30) { site.text("run/history.jsonl").count > before + 1000 })
    trainer.process.signal(SIGKILL)
    _ = try trainer.process.wait()
    trainer = try site.startTrainer(bind: silent)
    #expect(try again.wait() == 0, "\(again.errors)")
    let undisturbed = try site.run(.encryptor, site.launch(out: "undisturbed", trainer: silent, options))
    #expect(undisturbed.code == 0, "\(undisturbed.errors)")
    #expect(try site.bytes("run/model/model.safetensors") == site.bytes("undisturbed/model/model.safetensors"))
  }

  // MARK: - Jobs that are turned down

  @Test(arguments: ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "intermediate_size"])
  func sizesThatOverflow(_ setting: String) throws {
    var files = TokenFiles()
    files.settings = [setting: Int.max]
    try files.write(to: site)
    try plan().expectRefusal(3, saying: site["bert/config.json"], setting)
  }

  @Test func headsThatDoNotDivideTheWidth() throws {
    var files = TokenFiles()
    files.settings = ["num_attention_heads": 3]
    try files.write(to: site)
    try plan().expectRefusal(3, saying: site["bert/config.json"], "num_attention_heads")
  }

  @Test func weightsCutOff() throws {
    let bytes = try site.bytes("bert/model.safetensors")
    try bytes.dropLast(100).write(to: URL(filePath: site["bert/model.safetensors"]))
    try plan().expectRefusal(3, saying: site["bert/model.safetensors"], "cut off")
  }

  @Test(arguments: ["bert.embeddings.word_embeddings.weight", "bert.encoder.layer.0.output.dense.weight"])
  func weightsThatAreNoNumbers(_ name: String) throws {
    var files = TokenFiles()
    files.value = { tensor, place, value in tensor == name && place == 30 ? .nan : value }
    try files.write(to: site)
    let trainer = try site.startTrainer()
    try site.run(.encryptor, site.launch(trainer: trainer.endpoint))
      .expectRefusal(3, saying: name, "start from finite weights", afterProgress: true)
  }

  @Test func rowOfPaddingAlone() throws {
    var files = TokenFiles()
    files.mask = { row, column in row == 11 ? 0 : 1 }
    try files.write(to: site)
    try plan().expectRefusal(3, saying: site["tokens.h5"], "row 11", "padding")
  }

  @Test func moreMemoryThanTheTrainerGives() throws {
    let trainer = try site.startTrainer("--memory-limit", "100K")
    try site.run(.encryptor, site.launch(trainer: trainer.endpoint))
      .expectRefusal(6, saying: " of memory, ", "train.micro_batch", afterProgress: true)
    #expect(try FileManager.default.contentsOfDirectory(atPath: site["store/jobs"]).isEmpty)
  }
}
