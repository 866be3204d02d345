import Foundation
import Testing
import TestSupport

/// Stores that another trainer holds, that are of another version, read-only or full, and what `trainer status` says of them.
@Suite(.waiting)
struct StoreTests {
  private let site: Site

  init() throws {
    site = try Site()
    try DataFile().write(to: site["data.h5"])
    try site.write(JobText().text, to: "job.yaml")
  }

  private let serve = [
    "serve", "--keys", "trainer", "--authorized", "owners.txt", "--store", "store", "--bind", "tcp://127.0.0.1:0",
  ]

  private func status(_ options: String...) throws -> Ended {
    try site.run(.trainer, ["status", "--store", "store"] + options)
  }

  /// The fields of a job or of the live trainer, as JSON says them.
  private func report() throws -> [String: Any] {
    let ended = try status("--json")
    #expect(ended.code == 0, "\(ended.errors)")
    let object = try JSONSerialization.jsonObject(with: Data(ended.output.utf8))
    return try #require(object as? [String: Any])
  }

  @Test func aStoreAnotherLiveTrainerHolds() throws {
    let trainer = try site.startTrainer()
    try site.run(.trainer, serve)
      .expectRefusal(2, saying: "is held by another trainer", "process", program: .trainer)
    trainer.process.signal(SIGKILL)
    _ = try trainer.process.wait()
    // Killed here, it is known to be dead.
    _ = try site.startTrainer()
  }

  @Test func aTrainerThatWaitsForTheStoreStopsInGoodOrder() throws {
    try FileManager.default.createDirectory(atPath: site["store"], withIntermediateDirectories: true)
    try site.write("", to: "store/trainer.lease")
    let trainer = try site.start(.trainer, serve)
    #expect(Waiting.until(30) { trainer.errors.contains("watching for") })
    trainer.signal(SIGTERM)
    #expect(try trainer.wait(seconds: 10) == 0)
    #expect(trainer.errors.contains("stopped"))
    #expect(site.text("store/trainer.lease").isEmpty)
  }

  @Test func aStoreWrittenByAnotherVersion() throws {
    try FileManager.default.createDirectory(atPath: site["store"], withIntermediateDirectories: true)
    try site.write(#"{"format":3,"software":"trainer 9.0"}"#, to: "store/store.json")
    try site.run(.trainer, serve)
      .expectRefusal(3, saying: "was written by another version", "format 3", program: .trainer)
    try status().expectRefusal(3, saying: "was written by another version", program: .trainer)
    #expect(!site.exists("store/jobs"), "it is left alone")
  }

  /// The superuser writes in spite of permissions, and nobody else may mount a file system.
  @Test(.enabled(if: SmallDisk.isPossible || geteuid() != 0)) func aReadOnlyStore() throws {
    let disk = SmallDisk.isPossible ? try SmallDisk(at: site["store"], bytes: 1 << 20) : nil
    if let disk {
      try disk.makeReadOnly()
    } else {
      try FileManager.default.createDirectory(atPath: site["store"], withIntermediateDirectories: true)
      site.setMode(0o500, of: "store")
    }
    defer { site.setMode(0o700, of: "store") }
    let reason = disk == nil ? "Permission denied" : "Read-only file system"
    try site.run(.trainer, serve).expectRefusal(4, saying: "store", reason, program: .trainer)
    withExtendedLifetime(disk) {}
  }

  @Test(.enabled(if: SmallDisk.isPossible)) func aFullStore() throws {
    let disk = try SmallDisk(at: site["store"], bytes: 1 << 20)
    try disk.fill()
    try site.run(.trainer, serve).expectRefusal(8, saying: "store", "No space left", program: .trainer)
    disk.empty()
    // A trainer that is at work keeps its store while the disk is full, and for longer than a renewal takes.
    let trainer = try site.startTrainer()
    try disk.fill()
    usleep(7_000_000)
    #expect(!trainer.process.hasEnded)
    try site.run(.trainer, serve).expectRefusal(2, saying: "is held by another trainer", program: .trainer)
    disk.empty()
  }

  @Test func addressOfATrainerThatListens() throws {
    let trainer = try site.startTrainer(bind: "tcp://0.0.0.0:0")
    let record = try #require(
      try JSONSerialization.jsonObject(with: site.bytes("store/endpoint.json")) as? [String: Any])
    let port = trainer.endpoint.split(separator: ":").last ?? ""
    let host = ProcessInfo.processInfo.hostName
    #expect(record["endpoints"] as? [String] == ["tcp://\(record["host"] as? String ?? ""):\(port)"])
    #expect(host.hasPrefix(record["host"] as? String ?? "-"))
    #expect(record["pid"] as? Int == Int(trainer.process.processID))
    #expect(site.text("trainer/trainer.pub").contains(record["publicKey"] as? String ?? "-"))
    trainer.process.signal(SIGTERM)
    #expect(try trainer.process.wait() == 0)
    #expect(!site.exists("store/endpoint.json"))
    #expect(!site.exists("store/trainer.lease"))
  }

  @Test func statusOfAStoreThatIsMissing() throws {
    try status().expectRefusal(3, saying: "there is no store", program: .trainer)
  }

  @Test func statusOfAStoreThatCannotBeRead() throws {
    try FileManager.default.createDirectory(atPath: site["store"], withIntermediateDirectories: true)
    try site.write("", to: "store/jobs")
    try status().expectRefusal(3, saying: "cannot list", "store/jobs", program: .trainer)
  }

  @Test func statusWithAndWithoutATrainer() throws {
    try site.write(JobText(epochs: 150, batch: 4).text, to: "job.yaml")
    let trainer = try site.startTrainer()
    let owner = try site.start(.encryptor, site.launch(trainer: trainer.endpoint, ["--patience", "0"]))
    #expect(Waiting.until(30) { site.text("run/history.jsonl").split(separator: "\n").count > 100 })
    let live = try #require(try report()["trainer"] as? [String: Any])
    #expect(live["pid"] as? Int == Int(trainer.process.processID))
    #expect(live["endpoints"] as? [String] == [trainer.endpoint])
    trainer.process.signal(SIGTERM)
    #expect(try trainer.process.wait() == 0)
    _ = try owner.wait()
    let stopped = try report()
    #expect(stopped["trainer"] == nil)
    let job = try #require((stopped["jobs"] as? [[String: Any]])?.first)
    let checkpoint = try #require(job["checkpoint"] as? [String: Any])
    #expect(job["state"] as? String == "ready")
    #expect(job["totalSteps"] as? Int == 1800)
    #expect((job["step"] as? Int ?? 0) > 50)
    #expect(checkpoint["step"] as? Int == job["step"] as? Int)
    #expect((checkpoint["bytes"] as? Int ?? 0) > 0)
    #expect((job["memoryBytes"] as? Int ?? 0) > 0)
    #expect(site.text("owner/owner.pub").contains(job["owner"] as? String ?? "-"))
    let text = try status()
    #expect(text.output.contains("no trainer is at work here"))
    #expect(text.output.contains("step \(job["step"] as? Int ?? 0) of 1800"))
  }

  @Test func statusOfAJobThatIsBeingWritten() throws {
    let trainer = try site.startTrainer()
    trainer.process.signal(SIGTERM)
    #expect(try trainer.process.wait() == 0)
    try FileManager.default.createDirectory(atPath: site["store/jobs/1234"], withIntermediateDirectories: true)
    try site.write("{", to: "store/jobs/1234/.writing-0000000000000001")
    #expect(try (report()["jobs"] as? [[String: Any]])?.first?["state"] as? String == "writing")
    try site.write("{", to: "store/jobs/1234/job.json")
    #expect(try (report()["jobs"] as? [[String: Any]])?.first?["state"] as? String == "unreadable")
  }

  @Test func statusOfDeployments() throws {
    let trainer = try site.startTrainer()
    trainer.process.signal(SIGTERM)
    #expect(try trainer.process.wait() == 0)
    let id = String(repeating: "1f", count: 16)
    let key = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
    try FileManager.default.createDirectory(
      atPath: site["store/deployments/\(id)"], withIntermediateDirectories: true)
    try site.write(
      """
      {"version": 1, "id": "\(id)", "owner": "\(key)", "description": {"revision": 3, "maximumRows": 50, "endsWithOwner": false,
       "clients": [{"key": "\(key)", "copy": "\(String(repeating: "2e", count: 16))", "keyNumber": 1, "package": "AQI="}]}}
      """, to: "store/deployments/\(id)/deployment.json")
    let digest = String(repeating: "0", count: 64)
    try site.write(
      "deployment 1 \(key)\nquestion \(key) 1 1 \(digest) 7\nquestion \(key) 1 2 \(digest) 4\nquest",
      to: "store/deployments/\(id)/questions.log")
    let text = try status().output
    #expect(text.contains("deployment \(id)  owner rq:rM>}U…  clients 1  questions 2  rows 11 of 50"), "\(text)")
    let json = try #require((report()["deployments"] as? [[String: Any]])?.first)
    #expect(json["revision"] as? Int == 3 && json["rows"] as? Int == 11 && json["damaged"] == nil)
    try site.write("{", to: "store/deployments/\(id)/deployment.json")
    let damaged = try status().output
    #expect(damaged.contains("deployment.json is damaged") && damaged.contains("rows 11"), "\(damaged)")
    // It stands in nobody's way.
    let again = try site.startTrainer()
    #expect(Waiting.until(60) { again.process.errors.contains("deployment.json cannot be read") })
    again.process.signal(SIGTERM)
    #expect(try again.process.wait() == 0)
  }

  @Test func optionsOfDeploymentsThatCannotBe() throws {
    for (option, reason) in [
      (["--inference-threads", "0"], "--inference-threads must be 1"),
      (["--deployment-memory", "much"], "--deployment-memory"),
    ] {
      let ended = try site.run(.trainer, serve + option)
      #expect(ended.code == 2 && ended.errors.contains(reason), "\(ended.errors)")
    }
  }

  /// 4000 hidden units make checkpoints that take longer than the steps between them.
  @Test func sigtermDuringACheckpoint() throws {
    try site.write(JobText(hidden: "[4000]", epochs: 40, batch: 4).text, to: "job.yaml")
    let endpoint = Site.unusedEndpoint()
    #expect(try site.run(.encryptor, site.launch(trainer: endpoint, ["--patience", "0"])).code == 5)
    try FileManager.default.copyItem(atPath: site["run"], toPath: site["undisturbed"])
    let owner = try site.start(.encryptor, site.launch(trainer: endpoint, ["--resume", "--patience", "60"]))
    for life in 0..<4 {
      let trainer = try site.startTrainer(bind: endpoint)
      let before = site.text("run/history.jsonl").split(separator: "\n").count
      #expect(Waiting.until(30) { site.text("run/history.jsonl").split(separator: "\n").count > before + 20 })
      let jobs = try FileManager.default.contentsOfDirectory(atPath: site["store/jobs"])
      let folder = site["store/jobs/\(jobs.first ?? "")"]
      func names() -> [String] { (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] }
      #expect(Waiting.until(30) { names().contains { $0.hasPrefix(".writing-") } }, "life \(life)")
      trainer.process.signal(SIGTERM)
      #expect(try trainer.process.wait() == 0)
      #expect(!names().contains { $0.hasPrefix(".writing-") })
      #expect(names().contains { $0.hasPrefix("checkpoint-") })
    }
    _ = try site.startTrainer(bind: endpoint)
    #expect(try owner.wait() == 0, "\(owner.errors)")
    let other = try site.startTrainer(store: "other")
    let undisturbed = try site.run(.encryptor, site.launch(out: "undisturbed", trainer: other.endpoint, ["--resume"]))
    #expect(undisturbed.code == 0, "\(undisturbed.errors)")
    #expect(try site.bytes("run/model/model.safetensors") == site.bytes("undisturbed/model/model.safetensors"))
  }

  @Test func threadsOfTheAllocation() throws {
    let child = try site.start(
      .trainer, serve, environment: ["SLURM_CPUS_PER_TASK": "1"])
    #expect(Waiting.until(30) { child.output.contains("listening") || child.hasEnded })
    #expect(child.errors.contains("threads=1"), "\(child.errors)")
  }

  /// The file is the trainer's: the owner is not sent to look at its own data, or to remove what it cannot reach.
  @Test func aStoredCheckpointThatIsDamaged() throws {
    try site.write(JobText(epochs: 4000).text, to: "job.yaml")
    let first = try site.startTrainer()
    let owner = try site.start(.encryptor, site.launch(trainer: first.endpoint, ["--patience", "0"]))
    #expect(Waiting.until(30) { site.text("run/history.jsonl").split(separator: "\n").count > 20 })
    first.process.signal(SIGTERM)
    #expect(try first.process.wait() == 0)
    #expect(try owner.wait() == 5, "\(owner.errors)")
    let names = try FileManager.default.subpathsOfDirectory(atPath: site["store/jobs"])
    let newest = try #require(names.filter { $0.contains("/checkpoint-") }.max())
    var bytes = try site.bytes("store/jobs/" + newest)
    bytes[bytes.count - 3] ^= 1
    try bytes.write(to: URL(filePath: site["store/jobs/" + newest]))
    let second = try site.startTrainer()
    try site.run(.encryptor, site.launch(trainer: second.endpoint, ["--resume"]))
      .expectRefusal(
        6, saying: "the trainer has stored of this job is damaged", "ask its operator", "another --out",
        afterProgress: true)
  }
}

/// Writes that fail for want of room, on either side: exit code 8, and the run goes on once there is room.
///
/// A limit on the size of files stands for the disk, because it needs no rights; where a small file system can be mounted, that one fills up
/// in the middle of a run.
@Suite(.waiting)
struct FullDiskTests {
  private let site: Site

  init() throws {
    site = try Site()
    try DataFile(rows: 1000).write(to: site["data.h5"])
    try site.write(JobText().text, to: "job.yaml")
  }

  private func resume(_ trainer: RunningTrainer, location: SourceLocation = #_sourceLocation) throws {
    let resumed = try site.run(.encryptor, site.launch(trainer: trainer.endpoint, ["--resume"]))
    #expect(resumed.code == 0, "\(resumed.errors)", sourceLocation: location)
    #expect(site.exists("run/model/model.safetensors"), sourceLocation: location)
  }

  /// 750 rows in batches of 16 are 47 steps, 8 epochs of them more than 300 lines of more than 100 bytes.
  @Test func ownerCannotWriteItsHistory() throws {
    try site.write(JobText(epochs: 8).text, to: "job.yaml")
    let trainer = try site.startTrainer()
    try site.run(.encryptor, site.launch(trainer: trainer.endpoint), largestFile: 30 << 10)
      .expectRefusal(8, saying: "run/history.jsonl", "ulimit -f", afterProgress: true)
    try resume(trainer)
  }

  /// The first files of a run: there is no run then, and nothing in the way of starting again.
  @Test func ownerCannotLayOutARun() throws {
    let trainer = try site.startTrainer()
    let ended = try site.run(.encryptor, site.launch(trainer: trainer.endpoint), largestFile: 512)
    ended.expectRefusal(8, saying: "run/")
    let again = try site.run(.encryptor, site.launch(out: "again", trainer: trainer.endpoint))
    #expect(again.code == 0, "\(again.errors)")
  }

  /// 6 × 800 + 800 × 3 weights of 4 bytes, 29 kB, are the trainer's first checkpoint.
  @Test func trainerCannotWriteItsCheckpoint() throws {
    try site.write(JobText(hidden: "[800]").text, to: "job.yaml")
    let trainer = try site.startTrainer(largestFile: 24 << 10)
    try site.run(.encryptor, site.launch(trainer: trainer.endpoint))
      .expectRefusal(8, saying: "the other side refuses", "File too large", afterProgress: true)
    #expect(!trainer.process.hasEnded, "it goes on serving")
    trainer.process.signal(SIGTERM)
    #expect(try trainer.process.wait() == 0)
    try resume(try site.startTrainer())
  }

  @Test(.enabled(if: SmallDisk.isPossible)) func trainerDiskFillsUp() throws {
    try site.write(JobText(epochs: 40).text, to: "job.yaml")
    let disk = try SmallDisk(at: site["store"], bytes: 1 << 20)
    let trainer = try site.startTrainer()
    let owner = try site.start(.encryptor, site.launch(trainer: trainer.endpoint))
    #expect(Waiting.until(30) { site.text("run/history.jsonl").split(separator: "\n").count > 20 })
    try disk.fill()
    try site.end(owner).expectRefusal(8, saying: "the other side refuses", "No space left", afterProgress: true)
    disk.empty()
    try resume(trainer)
  }

  @Test(.enabled(if: SmallDisk.isPossible)) func ownerDiskFillsUp() throws {
    try site.write(JobText(epochs: 40).text, to: "job.yaml")
    let disk = try SmallDisk(at: site["run"], bytes: 1 << 20)
    let trainer = try site.startTrainer()
    let owner = try site.start(.encryptor, site.launch(trainer: trainer.endpoint))
    #expect(Waiting.until(30) { site.text("run/history.jsonl").split(separator: "\n").count > 20 })
    try disk.fill()
    try site.end(owner).expectRefusal(8, saying: "No space left", afterProgress: true)
    disk.empty()
    try resume(trainer)
  }
}
