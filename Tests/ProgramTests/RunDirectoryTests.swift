import Foundation
import Testing
import TestSupport

/// A run directory is one process's and one user's.
@Suite(.waiting)
struct RunDirectoryTests {
  private let site: Site

  init() throws {
    site = try Site()
    try DataFile().write(to: site["data.h5"])
    try site.write(JobText().text, to: "job.yaml")
  }

  /// Long enough to be met in the middle: 45 rows in batches of 4 are 12 steps an epoch.
  private func writeLongJob(epochs: Int = 300) throws {
    try site.write(JobText(epochs: epochs, batch: 4).text, to: "job.yaml")
  }

  private func isUnderWay(_ run: String = "run") -> Bool {
    Waiting.until(60) { site.text("\(run)/history.jsonl").split(separator: "\n").count > 50 }
  }

  private func mode(_ name: String) throws -> Int {
    try #require(try FileManager.default.attributesOfItem(atPath: site[name])[.posixPermissions] as? Int)
  }

  @Test func plaintextIsItsOwnersAlone() throws {
    let trainer = try site.startTrainer()
    try FileManager.default.createDirectory(atPath: site["run"], withIntermediateDirectories: false)
    site.setMode(0o755, of: "run")
    let run = try site.run(.encryptor, site.launch(trainer: trainer.endpoint))
    #expect(run.code == 0, "\(run.errors)")
    #expect(
      try site.encryptor("predict", "run", "--data", "data.h5", "--out", "predictions.h5", "--threads", "1").code == 0)
    let names = try #require(FileManager.default.enumerator(atPath: site["run"])?.allObjects as? [String])
    for name in ["initial.safetensors", "history.jsonl", "plan.h5", "job.resolved.yaml", "model/model.safetensors"] {
      #expect(names.contains(name))
    }
    for name in names { #expect(try mode("run/" + name) & 0o077 == 0, "\(name)") }
    #expect(try mode("predictions.h5") == 0o600)
  }

  /// Versions before left plaintext weights readable by everybody.
  @Test func aResumedRunOfAVersionBeforeIsClosedToOthers() throws {
    let silent = Site.unusedEndpoint()
    #expect(try site.run(.encryptor, site.launch(trainer: silent, ["--patience", "0"])).code == 5)
    try FileManager.default.createDirectory(atPath: site["run/model"], withIntermediateDirectories: false)
    try site.write("weights", to: "run/model/model.safetensors")
    let files = ["job.resolved.yaml", "names.json", "state/run.json", "model/model.safetensors"]
    for file in files { site.setMode(0o644, of: "run/" + file) }
    for directory in ["", "/state", "/model"] { site.setMode(0o755, of: "run" + directory) }
    try site.write("shared", to: "elsewhere")
    site.setMode(0o644, of: "elsewhere")
    #expect(symlink(site["elsewhere"], site["run/link"]) == 0)
    #expect(try site.run(.encryptor, site.launch(trainer: silent, ["--patience", "0", "--resume"])).code == 5)
    for file in files { #expect(try mode("run/" + file) == 0o600, "\(file)") }
    for directory in ["", "/state", "/model"] { #expect(try mode("run" + directory) == 0o700, "\(directory)") }
    #expect(try mode("elsewhere") == 0o644)
  }

  @Test(arguments: [0o775, 0o757] as [mode_t]) func aDirectoryThatOthersCanWriteTo(_ mode: mode_t) throws {
    try FileManager.default.createDirectory(atPath: site["run"], withIntermediateDirectories: false)
    site.setMode(mode, of: "run")
    try site.run(.encryptor, site.launch(trainer: Site.unusedEndpoint()))
      .expectRefusal(4, saying: "can be written to by other users", "chmod go-w")
  }

  @Test func twoProcessesOnOneRunDirectory() throws {
    try writeLongJob()
    let trainer = try site.startTrainer()
    let first = try site.start(.encryptor, site.launch(trainer: trainer.endpoint))
    #expect(isUnderWay())
    let holder = "is in use by process \(first.processID) on \(ProcessInfo.processInfo.hostName)"
    try site.run(.encryptor, site.launch(trainer: trainer.endpoint, ["--resume"])).expectRefusal(2, saying: holder)
    try site.encryptor("retrieve", "run").expectRefusal(2, saying: holder)
    let status = try site.encryptor("status", "run")
    #expect(status.code == 0 && status.output.hasPrefix("running"), "\(status.output)\(status.errors)")
    // Killed, it holds nothing.
    first.signal(SIGKILL)
    _ = try first.wait()
    #expect(site.exists("run/state/run.lease"))
    let resumed = try site.run(.encryptor, site.launch(trainer: trainer.endpoint, ["--resume"]))
    #expect(resumed.code == 0, "\(resumed.errors)")
    #expect(!site.exists("run/state/run.lease"))
  }

  /// As two processes of versions before on one directory, or copies of it: whoever loses the job ends.
  @Test func whoeverLosesTheJobToACopyOfTheRunIsTold() throws {
    try writeLongJob(epochs: 3000)
    let trainer = try site.startTrainer()
    // The first checkpoint stays, so that the copy's history reaches one.
    let rarely = ["--set", "checkpoint.every_steps=1000000"]
    let first = try site.start(.encryptor, site.launch(trainer: trainer.endpoint, rarely))
    #expect(isUnderWay())
    try FileManager.default.copyItem(atPath: site["run"], toPath: site["copy"])
    try FileManager.default.removeItem(atPath: site["copy/state/run.lease"])
    let second = try site.start(.encryptor, site.launch(out: "copy", trainer: trainer.endpoint, rarely + ["--resume"]))
    try site.end(first, seconds: 60).expectRefusal(
      6, saying: "another connection of this owner has taken the job over", afterProgress: true)
    #expect(Waiting.until(60) { second.errors.contains("training, 36,000 steps") }, "\(second.errors)")
  }

  @Test func aRunThatIsCancelledFromAnotherTerminalEnds() throws {
    try writeLongJob(epochs: 3000)
    let trainer = try site.startTrainer()
    let run = try site.start(.encryptor, site.launch(trainer: trainer.endpoint))
    #expect(isUnderWay())
    let cancelled = try site.encryptor("cancel", "run")
    #expect(cancelled.code == 0 && cancelled.output == "cancelled\n", "\(cancelled.errors)")
    try site.end(run, seconds: 60).expectRefusal(6, saying: "cancelled", afterProgress: true)
    try site.run(.encryptor, site.launch(trainer: trainer.endpoint, ["--resume"]))
      .expectRefusal(2, saying: "the run was cancelled")
  }
}
