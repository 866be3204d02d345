import Foundation
import Testing

/// Logs for a collector: one object a line, with the job and the rank.
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
