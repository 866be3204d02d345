import Foundation
import TestSupport
import Testing

/// `trainer serve --jobs` and `--turn` with programs of several runs.
@Suite(.waiting)
struct SeveralJobsTests {
  private let site: Site

  init() throws {
    site = try Site()
    try DataFile().write(to: site["data.h5"])
    try site.write(JobText(epochs: 20_000).text, to: "long.yaml")
    try site.write(JobText().text, to: "job.yaml")
  }

  private func states() throws -> [String] {
    let ended = try site.run(.trainer, ["status", "--store", "store", "--json"])
    let report = try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [String: Any]
    return (report?["jobs"] as? [[String: Any]] ?? []).compactMap { $0["state"] as? String }
  }

  /// A third waits; SIGTERM saves both that run.
  @Test func twoAtOnce() throws {
    let trainer = try site.startTrainer(
      bind: "tcp://127.0.0.1:0", "--jobs", "2", "--metrics", "127.0.0.1:0", "--log-format", "json")
    let line = try #require(try JSONLog(trainer.process.errors).first("serving metrics"))
    let port = try #require(UInt16((line["address"] as? String)?.split(separator: ":").last ?? ""))
    let owners = try ["first", "second", "third"].map { name in
      try site.start(
        .encryptor, site.launch(job: "long.yaml", out: name, trainer: trainer.endpoint, ["--patience", "0"]))
    }
    #expect(
      Waiting.until(30) {
        guard let counted = try? PrometheusText.scrape(port) else { return false }
        return counted["trainer_jobs{state=\"running\"}"] == 2 && counted["trainer_jobs{state=\"queued\"}"] == 1
          && counted["trainer_queue_length"] == 1 && counted.sum("trainer_owner_jobs") == 3
          && counted["trainer_memory_reserved_bytes"] > 0
          && counted.sum("trainer_owner_processor_seconds_total") > 0
      })
    // The store says so with the lease's next renewal.
    #expect(Waiting.until(15) { (try? states().sorted()) == ["ready", "running", "running"] })
    trainer.process.signal(SIGTERM)
    #expect(try trainer.process.wait() == 0)
    #expect(trainer.process.errors.components(separatedBy: "job paused").count == 3)
    for owner in owners { #expect(try site.end(owner).code == 5) }
  }

  /// A small job is done while a long one runs, at a trainer with one place.
  @Test func aSmallJobDuringALongOne() throws {
    let trainer = try site.startTrainer(bind: "tcp://127.0.0.1:0", "--turn", "1s")
    let long = try site.start(.encryptor, site.launch(job: "long.yaml", out: "long", trainer: trainer.endpoint))
    #expect(Waiting.until(30) { site.text("long/history.jsonl").split(separator: "\n").count > 10 })
    let small = try site.run(.encryptor, site.launch(out: "small", trainer: trainer.endpoint))
    #expect(small.code == 0, "\(small.errors)")
    #expect(small.errors.contains("waiting in the trainer's queue, place 1"))
    #expect(!long.hasEnded)
    #expect(Waiting.until(10) { long.errors.contains("lets another one have its turn") })
    #expect(Waiting.until(10) { long.errors.contains("training goes on at step") })
    #expect(!long.errors.contains("trainer lost"))
    #expect(site.text("store/audit.log").contains("\"event\":\"turn_ended\""))
    long.signal(SIGINT)
    #expect(try site.end(long).code == 5)
  }
}
