import Foundation
import Testing
import TestSupport

/// The event log as an operator meets it: written by `trainer serve`, checked by `trainer verify-log`.
@Suite(.waiting)
struct EventLogTests {
  private let site: Site

  init() throws {
    site = try Site()
    try DataFile().write(to: site["data.h5"])
    try site.write(JobText().text, to: "job.yaml")
  }

  private func verify(_ options: String...) throws -> Ended {
    try site.run(.trainer, ["verify-log", "store"] + options)
  }

  private func events() throws -> [[String: Any]] {
    try JSONLog(site.text("store/audit.log")).lines
  }

  private func names() throws -> [String] {
    try events().compactMap { $0["event"] as? String }
  }

  private func lastHash(_ ended: Ended) throws -> String {
    let line = try #require(ended.output.split(separator: "\n").first { $0.hasPrefix("last hash: ") }, "\(ended)")
    return String(line.dropFirst("last hash: ".count))
  }

  private func trainOnce() throws {
    let trainer = try site.startTrainer()
    let ended = try site.run(.encryptor, site.launch(out: "run-\(UUID().uuidString)", trainer: trainer.endpoint))
    #expect(ended.code == 0, "\(ended.errors)")
    trainer.process.signal(SIGTERM)
    #expect(try trainer.process.wait() == 0)
  }

  @Test func aRunIsLoggedAndTheChainIsWhole() throws {
    try trainOnce()
    #expect(try names() == ["started", "connection_admitted", "submitted", "retrieved", "released", "stopped"])
    let key = site.text("owner/owner.pub").split(separator: "\n").last.map(String.init)
    #expect(try events()[2]["owner"] as? String == key)
    let ended = try verify()
    #expect(ended.code == 0, "\(ended.errors)")
    #expect(ended.output.contains("lines: 6\n") && ended.output.contains("the chain is whole"))
    #expect(try site.run(.trainer, ["verify-log", "store/audit.log"]).output == ended.output)
  }

  @Test func aChangedLogIsBroken() throws {
    try trainOnce()
    let text = site.text("store/audit.log")
    try site.write(text.replacingOccurrences(of: "\"submitted\"", with: "\"cancelled\""), to: "store/audit.log")
    let ended = try verify()
    #expect(ended.code == 7)
    #expect(ended.output == "lines: 6\n")
    #expect(ended.errors.contains("broken at line 4 of 6: line 3 was changed"), "\(ended.errors)")
  }

  @Test func theExpectedHashFindsATruncatedEnd() throws {
    try trainOnce()
    let noted = try lastHash(try verify())
    try trainOnce()
    let grown = try verify("--expect", noted.uppercased())
    #expect(grown.code == 0, "\(grown.errors)")
    #expect(grown.output.contains("expected: line 6, 6 lines before the end"))
    let lines = site.text("store/audit.log").split(separator: "\n")
    try site.write(lines.prefix(5).joined(separator: "\n") + "\n", to: "store/audit.log")
    #expect(try verify().code == 0, "by itself it does not show")
    let cut = try verify("--expect", noted)
    #expect(cut.code == 7)
    #expect(cut.errors.contains("no line with the expected hash"))
    #expect(try verify("--expect", "abc").code == 2)
  }

  @Test func aLogThatIsMissing() throws {
    #expect(try verify().code == 3)
    #expect(try site.run(.trainer, ["verify-log", "nowhere"]).code == 3)
  }

  /// kill -9 in the middle of a job, and a line that it cut off.
  @Test func aTrainerThatWasKilledGoesOnWithTheChain() throws {
    try site.write(JobText(epochs: 150, batch: 4).text, to: "job.yaml")
    let endpoint = Site.unusedEndpoint()
    let first = try site.startTrainer(bind: endpoint)
    let owner = try site.start(.encryptor, site.launch(trainer: endpoint, ["--patience", "60"]))
    #expect(Waiting.until(30) { site.text("run/history.jsonl").split(separator: "\n").count > 20 })
    first.process.signal(SIGKILL)
    _ = try first.process.wait()
    let torn = #"{"event":"submi"#
    try site.write(site.text("store/audit.log") + torn, to: "store/audit.log")
    #expect(try verify().output.contains("unfinished: \(torn.utf8.count) bytes"))
    _ = try site.startTrainer(bind: endpoint)
    #expect(try owner.wait() == 0, "\(owner.errors)")
    let ended = try verify()
    #expect(ended.code == 0, "\(ended.errors)")
    let names = try names()
    #expect(names.count { $0 == "recovered" } == 1)
    #expect(names.filter { ["submitted", "resumed"].contains($0) } == ["submitted", "resumed"])
    let putAside = try FileManager.default.contentsOfDirectory(atPath: site["store"]).filter { $0.contains("torn") }
    #expect(putAside.count == 1)
    #expect(site.text("store/" + (putAside.first ?? "")) == torn)
  }

  @Test func refusalsAreLogged() throws {
    #expect(try site.encryptor("keygen", "stranger").code == 0)
    let trainer = try site.startTrainer(bind: "tcp://127.0.0.1:0", "--memory-limit", "1K")
    var arguments = site.launch(trainer: trainer.endpoint)
    #expect(try site.run(.encryptor, arguments).code == 6)
    arguments[3] = "stranger"
    arguments[7] = "other"
    #expect(try site.run(.encryptor, arguments).code == 6)
    let key = site.text("stranger/owner.pub").split(separator: "\n").last.map(String.init)
    #expect(try Waiting.until(10) { try names().contains("connection_refused") })
    let refused = try #require(try events().first { $0["event"] as? String == "refused" })
    #expect((refused["reason"] as? String)?.contains(" of memory, ") == true)
    #expect(refused["job"] is String)
    #expect(try events().first { $0["event"] as? String == "connection_refused" }?["owner"] as? String == key)
    #expect(try verify().code == 0)
  }

  /// A limit on the size of files stands for a full disk: the job's own files stay far below it, the log grows up to it.
  @Test func aLogThatCannotGrowKeepsNewJobsOut() throws {
    let trainer = try site.startTrainer(largestFile: 4096)
    var last = Ended(code: 0, output: "", errors: "")
    for number in 0..<12 where last.code == 0 {
      last = try site.run(.encryptor, site.launch(out: "run\(number)", trainer: trainer.endpoint))
    }
    last.expectRefusal(
      8, saying: "cannot write its event log", "accepts no job that it cannot log", afterProgress: true)
    #expect(!trainer.process.hasEnded, "it goes on serving")
    // The log holds whole lines only.
    let ended = try verify()
    #expect(ended.code == 0 && !ended.output.contains("unfinished"), "\(ended)")
    let before = try events().count
    trainer.process.signal(SIGTERM)
    #expect(try trainer.process.wait() == 0)
    let again = try site.startTrainer()
    let run = try site.run(.encryptor, site.launch(out: "again", trainer: again.endpoint))
    #expect(run.code == 0, "\(run.errors)")
    #expect(try events().count > before)
    #expect(try verify().code == 0)
  }

  /// The issue's "a full store".
  @Test(.enabled(if: SmallDisk.isPossible)) func aFullStoreTakesNoNewJob() throws {
    let disk = try SmallDisk(at: site["store"], bytes: 1 << 20)
    let trainer = try site.startTrainer()
    // What is left of the log's last page is used up before the disk is full: with a few refusals' lines it overflows.
    try disk.fill()
    var last = Ended(code: 8, output: "", errors: "")
    for number in 0..<40 where last.code == 8 && !last.errors.contains("event log") {
      last = try site.run(.encryptor, site.launch(out: "run\(number)", trainer: trainer.endpoint))
    }
    last.expectRefusal(8, saying: "cannot write its event log", "No space left", afterProgress: true)
    #expect(!trainer.process.hasEnded, "it goes on serving")
    disk.empty()
    let run = try site.run(.encryptor, site.launch(out: "again", trainer: trainer.endpoint))
    #expect(run.code == 0, "\(run.errors)")
    // What could not be written then was kept and is there now.
    #expect(try events().contains { ($0["reason"] as? String)?.contains("cannot write its event log") == true })
    #expect(try verify().code == 0)
  }

  /// The issue's "a read-only store": said at start, by the file's name.
  @Test(.enabled(if: SmallDisk.isPossible || geteuid() != 0)) func aReadOnlyStore() throws {
    // Modes do not keep the superuser from writing; a file system that is read-only does.
    let disk = SmallDisk.isPossible ? try SmallDisk(at: site["store"], bytes: 1 << 20) : nil
    try trainOnce()
    try disk?.makeReadOnly()
    if disk == nil {
      site.setMode(0o400, of: "store/audit.log")
      site.setMode(0o500, of: "store")
    }
    defer { site.setMode(0o700, of: "store") }
    try site.run(.trainer, ["serve", "--keys", "trainer", "--authorized", "owners.txt", "--store", "store"])
      .expectRefusal(4, saying: "store", program: .trainer)
  }

  @Test func aDirectoryWhereTheLogShouldBe() throws {
    try FileManager.default.createDirectory(atPath: site["store/audit.log"], withIntermediateDirectories: true)
    try site.run(.trainer, ["serve", "--keys", "trainer", "--authorized", "owners.txt", "--store", "store"])
      .expectRefusal(3, saying: "store/audit.log", program: .trainer)
  }

  /// As `logrotate` does it.
  @Test(arguments: ["removed", "emptied"]) func aLogTakenAwayUnderATrainer(_ how: String) throws {
    let trainer = try site.startTrainer()
    #expect(try site.run(.encryptor, site.launch(trainer: trainer.endpoint)).code == 0)
    if how == "removed" {
      try FileManager.default.removeItem(atPath: site["store/audit.log"])
    } else {
      #expect(truncate(site["store/audit.log"], 0) == 0)
    }
    for number in 0..<2 {
      try site.run(.encryptor, site.launch(out: "refused\(number)", trainer: trainer.endpoint))
        .expectRefusal(8, saying: "cannot write its event log", "restart the program", afterProgress: true)
    }
    let told = trainer.process.errors.components(separatedBy: " error    the event log cannot be written")
    #expect(told.count == 2, "once: \(trainer.process.errors)")
    trainer.process.signal(SIGTERM)
    #expect(try trainer.process.wait() == 0)
    #expect(site.text("store/audit.log") == "")
    try trainOnce()
    #expect(try names().prefix(2) == ["recovered", "started"])
    #expect(try verify().code == 0)
  }

  /// The first file it opens would have the number of standard output, and what is printed would be written into it.
  @Test func aTrainerWithoutStandardOutputPrintsIntoNoFile() throws {
    let trainer = try site.start(
      .trainer,
      ["serve", "--keys", "trainer", "--authorized", "owners.txt", "--store", "store", "--bind", "tcp://127.0.0.1:0"],
      output: .closed)
    #expect(try Waiting.until(30) { try names() == ["started"] })
    trainer.signal(SIGTERM)
    #expect(try trainer.wait() == 0, "\(trainer.errors)")
    #expect(try verify().code == 0)
    #expect(try names() == ["started", "stopped"])
  }
}

/// Logs for a collector: one object a line, with the job and the rank.
@Suite(.waiting)
struct JSONLogTests {
  private let site: Site

  init() throws {
    site = try Site()
    try DataFile().write(to: site["data.h5"])
    try site.write(JobText().text, to: "job.yaml")
  }

  private func log(environment: [String: String]) throws -> JSONLog {
    let trainer = try site.startTrainer(environment: environment, "--log-format", "json", "--log-level", "debug")
    let ended = try site.run(.encryptor, site.launch(trainer: trainer.endpoint))
    #expect(ended.code == 0, "\(ended.errors)")
    trainer.process.signal(SIGTERM)
    #expect(try trainer.process.wait() == 0)
    return try JSONLog(trainer.process.errors)
  }

  @Test func everyLineAboutAJobNamesIt() throws {
    let log = try log(environment: [:])
    let job = try #require(log.first("job accepted")?["job"] as? String)
    #expect(job.count == 32)
    let messages: Set = ["job accepted", "job started", "checkpoint", "job finished", "job removed"]
    var seen: Set<String> = []
    for line in log.lines {
      let message = try #require(line["message"] as? String)
      #expect(line["rank"] as? Int == 0)
      #expect(line["level"] is String)
      #expect(
        try Date(#require(line["time"] as? String), strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))
          > .distantPast)
      guard messages.contains(message) else { continue }
      seen.insert(message)
      #expect(line["job"] as? String == job, "\(line)")
    }
    #expect(seen == messages)
  }

  /// Open MPI's word comes first, then PMIx's, then Slurm's; what is no number says nothing.
  @Test(arguments: [
    (["OMPI_COMM_WORLD_RANK": "2", "PMIX_RANK": "0", "SLURM_PROCID": "4"], 2),
    (["PMIX_RANK": "0", "SLURM_PROCID": "4"], 0), (["SLURM_PROCID": "4"], 4), (["SLURM_PROCID": "-1"], 0),
    (["PMIX_RANK": "none"], 0),
  ])
  func rankOfMPIOrSlurm(_ environment: [String: String], _ rank: Int) throws {
    let trainer = try site.startTrainer(environment: environment, "--log-format", "json")
    #expect(Waiting.until(10) { !trainer.process.errors.isEmpty })
    for line in try JSONLog(trainer.process.errors).lines { #expect(line["rank"] as? Int == rank) }
  }
}
