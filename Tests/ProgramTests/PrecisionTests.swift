import Foundation
import Testing
import TestSupport

@testable import Datasets

/// Jobs that compute in bfloat16 numbers, by the commands that a person gives; and what multiplies, from one trainer to the next.
@Suite(.waiting)
struct PrecisionTests {
  private static let narrow = ["--set", "train.precision=bfloat16"]
  private let site: Site

  init() throws {
    site = try Site()
    try DataFile(columns: 200).write(to: site["data.h5"])
    try site.write(JobText().text, to: "job.yaml")
  }

  private func json(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  private func outputs(_ file: String) throws -> [Float] {
    let source = try HDF5File(path: site[file]).openFeatures(path: "outputs")
    var values = [Float](repeating: 0, count: source.rows * source.columns)
    try values.withUnsafeMutableBufferPointer { try source.read(rows: 0..<source.rows, into: $0) }
    return values
  }

  private func historyLines(_ run: String = "run") -> Int {
    site.text("\(run)/history.jsonl").split(separator: "\n").count
  }

  @Test func anotherValueIsRefusedWithTheListOfThem() throws {
    try site.encryptor("plan", "job.yaml", "--set", "train.precision=float16")
      .expectRefusal(2, saying: "train.precision", "one of float32, bfloat16x3, bfloat16")
    try site.encryptor(
      "plan", "job.yaml", "--set", "train.precision=bfloat16", "--set",
      "privacy={clip_norm: 1, epsilon: 3, delta: 1.0e-5}", "--set", "train.keep=last"
    ).expectRefusal(2, saying: "`privacy` with `train.precision: bfloat16`")
  }

  @Test func planVerifyRunAndPredict() throws {
    let planned = try site.encryptor("plan", "job.yaml", "--set", "train.precision=bfloat16")
    for words in ["precision: bfloat16", "Computes in bfloat16: not the plaintext float32 run", "encryptor verify"] {
      #expect(planned.output.contains(words), "\(words): \(planned.output)\(planned.errors)")
    }
    let parts = try site.encryptor("plan", "job.yaml", "--set", "train.precision=bfloat16x3")
    #expect(parts.output.contains("on every other it is float32"), "\(parts.output)")
    let verified = try site.encryptor("verify", "job.yaml", "--steps", "6", "--set", "train.precision=bfloat16")
    #expect(verified.code == 0, "\(verified.output)\(verified.errors)")
    #expect(verified.output.contains("bfloat16: distance of the masked run's weights from plaintext float64"))
    let trainer = try site.startTrainer()
    #expect(Waiting.until(10) { trainer.process.errors.contains("bfloat16=") }, "\(trainer.process.errors)")
    let ended = try site.run(.encryptor, site.launch(trainer: trainer.endpoint, Self.narrow))
    #expect(ended.code == 0, "\(ended.errors)")
    #expect(ended.errors.contains("the trainer multiplies with "), "\(ended.errors)")
    #expect(ended.output.contains("computed in bfloat16 by "), "\(ended.output)")
    #expect(site.text("run/job.resolved.yaml").contains("  precision: bfloat16\n"))
    let summary = try json(site.text("run/summary.json"))
    #expect(summary["precision"] as? String == "bfloat16" && (summary["kernels"] as? [Any])?.count == 1)
    #expect(try #require(summary["expansion"] as? Double) < 0.62, "with labels, slots and weights, which are whole")
    #expect(site.text("run/history.jsonl").hasPrefix(#"{"kernel":""#))
    #expect(trainer.process.errors.contains("precision=bfloat16"), "\(trainer.process.errors)")
    let status = try json(try site.encryptor("status", "run", "--json").output)
    #expect(status["precision"] as? String == "bfloat16")
    let predicted = try site.encryptor("predict", "run", "--data", "data.h5", "--out", "p.h5", "--threads", "1")
    #expect(predicted.code == 0, "\(predicted.errors)")
    // The same model by a host in floats: near, and not the same.
    let deployed = try site.run(
      .encryptor,
      [
        "deploy", "run", "--keys", "owner", "--trainer-key", "trainer/trainer.pub", "--out", "whole", "--threads", "1",
        "--precision", "float32",
      ])
    #expect(deployed.code == 0, "\(deployed.errors)")
    let asked = try site.run(
      .encryptor,
      ["query", "whole/clients/owner", "--keys", "owner", "--data", "data.h5", "--out", "a.h5", "--threads", "1"])
    #expect(asked.code == 0, "\(asked.errors)")
    let (narrow, whole) = (try outputs("p.h5"), try outputs("a.h5"))
    let size = whole.reduce(0) { max($0, abs($1)) }
    let difference = zip(narrow, whole).reduce(0) { max($0, abs($1.0 - $1.1)) }
    // Two layers, of some roundings of 2⁻⁹ each.
    #expect(difference > 0 && difference < 0.05 * size, "\(difference) of \(size)")
  }

  @Test func submitStatusRetrieve() throws {
    try site.write(JobText(loss: "trainer").text, to: "job.yaml")
    let trainer = try site.startTrainer()
    let submitted = try site.run(
      .encryptor, site.launch("submit", trainer: trainer.endpoint, ["--detach"] + Self.narrow))
    #expect(submitted.code == 0, "\(submitted.errors)")
    var last = ""
    #expect(
      try Waiting.until(60) {
        last = try site.encryptor("status", "run").output
        return last.hasPrefix("finished")
      }, "\(last)")
    #expect(last.contains("\ncomputes in bfloat16 by ") && last.contains("OpenBLAS"), "\(last)")
    let retrieved = try site.encryptor("retrieve", "run")
    #expect(retrieved.code == 0, "\(retrieved.errors)")
    // 6 steps, 2 evaluations, and what multiplied.
    #expect(historyLines() == 9 && site.text("run/history.jsonl").contains(#""kind":"kernel""#))
  }

  /// Both sides killed, several times: the same bits as a run of the same directory that nothing disturbed.
  @Test(arguments: ["owner", "trainer"]) func killedAndResumedToTheSameBits(_ loss: String) throws {
    try site.write(JobText(loss: loss, epochs: 60, batch: 4).text, to: "job.yaml")
    let silent = Site.unusedEndpoint()
    #expect(try site.run(.encryptor, site.launch(trainer: silent, ["--patience", "0"] + Self.narrow)).code == 5)
    try FileManager.default.copyItem(atPath: site["run"], toPath: site["twin"])
    var trainer = try site.startTrainer()
    let undisturbed = try site.run(
      .encryptor, site.launch(out: "twin", trainer: trainer.endpoint, ["--resume"] + Self.narrow))
    #expect(undisturbed.code == 0, "\(undisturbed.errors)")
    trainer.process.signal(SIGKILL)
    _ = try trainer.process.wait(seconds: 30)
    for _ in 0..<2 {
      trainer = try site.startTrainer(store: "other")
      let before = historyLines()
      let owner = try site.start(.encryptor, site.launch(trainer: trainer.endpoint, ["--resume"] + Self.narrow))
      #expect(Waiting.until(60) { historyLines() > before + 40 || owner.hasEnded })
      owner.signal(SIGKILL)
      trainer.process.signal(SIGKILL)
      _ = try owner.wait(seconds: 30)
      _ = try trainer.process.wait(seconds: 30)
    }
    trainer = try site.startTrainer(store: "other")
    let resumed = try site.run(.encryptor, site.launch(trainer: trainer.endpoint, ["--resume"] + Self.narrow))
    #expect(resumed.code == 0 || resumed.output.contains("already finished"), "\(resumed.errors)")
    #expect(try site.bytes("run/model/model.safetensors") == site.bytes("twin/model/model.safetensors"))
  }

  /// OpenBLAS's variable makes the second trainer one on a processor that lacks the first one's kernel.
  @Test func anotherKernelIsRefusedUnlessItIsAllowed() throws {
    try site.write(JobText(epochs: 150, batch: 4).text, to: "job.yaml")
    let endpoint = Site.unusedEndpoint()
    let first = try site.startTrainer(bind: endpoint, environment: ["OPENBLAS_CORETYPE": "Nehalem"])
    let owner = try site.start(.encryptor, site.launch(trainer: endpoint))
    #expect(Waiting.until(60) { historyLines() > 50 })
    owner.signal(SIGINT)
    _ = try owner.wait(seconds: 30)
    first.process.signal(SIGTERM)
    #expect(try first.process.wait(seconds: 30) == 0)
    let second = try site.startTrainer(bind: endpoint, environment: ["OPENBLAS_CORETYPE": "Prescott"])
    try site.run(.encryptor, site.launch(trainer: endpoint, ["--resume"]))
      .expectRefusal(
        6, saying: "the job began with the kernel OpenBLAS Nehalem", "multiplies with OpenBLAS Prescott",
        "--allow-other-kernel", afterProgress: true)
    second.process.signal(SIGTERM)
    #expect(try second.process.wait(seconds: 30) == 0)
    _ = try site.startTrainer(bind: endpoint, environment: ["OPENBLAS_CORETYPE": "Prescott"], "--allow-other-kernel")
    let resumed = try site.run(.encryptor, site.launch(trainer: endpoint, ["--resume"]))
    #expect(resumed.code == 0, "\(resumed.errors)")
    #expect(resumed.errors.contains("another kernel than the run began with"), "\(resumed.errors)")
    #expect(resumed.output.contains("computed in float32 by OpenBLAS Nehalem, from step "), "\(resumed.output)")
    let kernels = site.text("run/history.jsonl").split(separator: "\n").filter { $0.contains(#""kind":"kernel""#) }
    #expect(kernels.count == 2 && kernels.last?.contains("OpenBLAS Prescott") == true, "\(kernels)")
    #expect(site.text("store/audit.log").contains(#""event":"kernel_changed""#))
    #expect(try site.run(.trainer, ["verify-log", "store"]).code == 0)
  }
}
