import Foundation
import TestSupport
import Testing

/// Whole federations of processes: an aggregator and three `join`s, whose models must be those of `simulate` to the byte.
@Suite(.waiting)
struct FederationProgramTests {
  /// Rounds enough for something to happen in the middle.
  private static let rounds = 30

  private func parties(participation: String = "{minimum: 3, patience: 120}", settings: String = "") throws
    -> FederationParties
  {
    let parties = try FederationParties(
      local: "{updates: 20}", rounds: Self.rounds, participation: participation, settings: settings)
    try parties.simulate()
    return parties
  }

  private func expectEnd(_ parties: FederationParties, _ sites: [ChildProcess], _ server: ChildProcess) throws {
    for (name, child) in zip(FederationParties.names, sites) {
      try #require(try child.wait(seconds: 120) == 0, "\(name): \(child.errors)")
      try parties.expectBitsOfSimulation(name)
    }
    #expect(try server.wait(seconds: 60) == 0, "\(server.errors)")
  }

  private func isAt(round: Int, _ child: ChildProcess) -> Bool {
    Waiting.until(60) { child.errors.contains("round \(round)/\(Self.rounds) done") || child.hasEnded }
      && !child.hasEnded
  }

  @Test func processesHaveTheBitsOfASimulationAndMetricsAndLogTellOfThem() throws {
    let parties = try parties()
    let site = parties.site
    let server = try site.start(
      .aggregator, parties.serve + ["--bind", parties.address, "--metrics", "127.0.0.1:0", "--log-format", "json"])
    #expect(Waiting.until(30) { (try? JSONLog(server.errors))?.first("serving metrics") != nil || server.hasEnded })
    let line = try #require(try JSONLog(server.errors).first("serving metrics"))
    let port = try #require(UInt16((line["address"] as? String ?? "").split(separator: ":").last ?? ""))
    #expect(try PrometheusText.scrape(port)["aggregator_sites_connected"] == 0)

    let others = try ["a", "b"].map { try site.start(.encryptor, parties.join($0)) }
    let first = try site.start(.encryptor, parties.join("c"))
    #expect(isAt(round: 2, first), "\(first.errors)")
    first.signal(SIGKILL)
    #expect(try first.wait() == 128 + SIGKILL)
    // The others wait for it.
    #expect(Waiting.until(30) { (try? PrometheusText.scrape(port)["aggregator_sites_connected"]) == 2 })
    let counted = try PrometheusText.scrape(port)
    let done = counted["aggregator_rounds"]
    #expect(done >= 2 && done < Double(Self.rounds) && counted["aggregator_sums_total"] == done)
    // 43 weights and some statistics of 8 bytes each, from three sites a round.
    #expect(counted["aggregator_uploaded_bytes_total"] >= 3 * done * 8 * 43)
    #expect(counted["aggregator_uploads_dropped_total"] == 0)
    #expect(counted["aggregator_sent_bytes_total"] > 0 && counted.sum("aggregator_build_info") == 1)
    #expect(!counted.samples.keys.contains { $0.hasPrefix("trainer_") })

    let second = try site.start(.encryptor, parties.join("c", "--resume"))
    try expectEnd(parties, others + [second], server)
    let log = try JSONLog(server.errors)
    #expect(log.first("listening")?["federation"] as? String == "three")
    #expect((log.first("listening")?["charter"] as? String)?.count == 64)
    let here = log.lines.filter { $0["message"] as? String == "site is here" }.compactMap { $0["site"] as? String }
    #expect(here.sorted() == ["a", "b", "c", "c"])
    #expect(log.first("site is away")?["site"] as? String == "c")
    let sums = log.lines.filter { $0["message"] as? String == "sum done" }
    #expect(sums.count == Self.rounds + 1 && sums.allSatisfy { $0["sites"] as? String == "a,b,c" })
    #expect(log.first("federation done")?["rounds"] as? String == "\(Self.rounds)")
  }

  /// With one of three away: who waits is told for whom, and so is whoever asks for the status.
  @Test func whoWaitsIsToldForWhom() throws {
    let parties = try FederationParties()
    let site = parties.site
    let server = try site.start(.aggregator, parties.serve + ["--bind", parties.address])
    let sites = try ["a", "b"].map { try site.start(.encryptor, parties.join($0)) }
    for child in sites {
      #expect(Waiting.until(60) { child.errors.contains("of waiting for c; a sum needs 3 sites") }, "\(child.errors)")
    }
    let status = try site.run(.aggregator, ["status", "--store", "aggregator-store"])
    #expect(status.output.contains("; waiting for c\n"), "\(status.output)\(status.errors)")
    for child in sites + [server] { child.signal(SIGINT) }
    for child in sites + [server] { _ = try child.wait(seconds: 60) }
  }

  @Test func sitesThatListenAreDialledByTheAggregator() throws {
    let parties = try parties()
    let addresses = FederationParties.names.map { _ in Site.unusedEndpoint() }
    #expect(Set(addresses).count == 3)
    let server = try parties.site.start(.aggregator, parties.serve + addresses.flatMap { ["--connect", $0] })
    let sites = try zip(FederationParties.names, addresses).map { name, address in
      try parties.site.start(.encryptor, parties.join(name, "--listen", address))
    }
    try expectEnd(parties, sites, server)
    for address in addresses { #expect(server.output.contains("connecting \(address)\n")) }
    #expect(!server.output.contains("listening"))
    for (child, address) in zip(sites, addresses) { #expect(child.errors.contains("listening \(address)\n")) }
  }

  /// A disk of its own, filled in the middle of the run.
  @Test(.enabled(if: SmallDisk.isPossible)) func aSiteWhoseDiskIsFullEndsAndGoesOnWithTheSameBits() throws {
    let parties = try parties()
    let site = parties.site
    let disk = try SmallDisk(at: site["disk"], bytes: 8 << 20)
    let server = try site.start(.aggregator, parties.serve + ["--bind", parties.address])
    let others = try ["b", "c"].map { try site.start(.encryptor, parties.join($0)) }
    let first = try site.start(.encryptor, parties.join("a", out: "disk/run"))
    #expect(isAt(round: 2, first), "\(first.errors)")
    try disk.fill()
    try site.end(first, seconds: 60).expectRefusal(8, saying: "disk/run", afterProgress: true)
    disk.empty()
    let second = try site.start(.encryptor, parties.join("a", "--resume", out: "disk/run"))
    #expect(try second.wait(seconds: 120) == 0, "\(second.errors)")
    try parties.expectBitsOfSimulation("a", run: "disk/run")
    for (name, child) in zip(["b", "c"], others) {
      #expect(try child.wait(seconds: 60) == 0, "\(child.errors)")
      try parties.expectBitsOfSimulation(name)
    }
    #expect(try server.wait(seconds: 60) == 0)
  }

  /// The clocks of all parties are set a day ahead while a site is away, and a day back while the aggregator is: nobody's patience, of two minutes and
  /// of ten, is at an end, or the model would be another.
  @Test func aClockThatJumpsEndsNobodysPatience() throws {
    let parties = try parties(participation: "{minimum: 2, patience: 120}", settings: ", threshold: 2")
    let site = parties.site
    let clock = try #require(ShiftedClock(in: site), "no clang to build the clock with")
    let day = 86_400
    func serve() throws -> ChildProcess {
      try site.start(
        .aggregator, parties.serve + ["--bind", parties.address, "--log-format", "json"],
        environment: clock.environment)
    }
    func join(_ name: String, _ options: String...) throws -> ChildProcess {
      try site.start(
        .encryptor, parties.join(name) + options + ["--patience", "600"], environment: clock.environment)
    }
    var server = try serve()
    let others = try ["a", "b"].map { try join($0) }
    let first = try join("c")
    #expect(isAt(round: 2, first), "\(first.errors)")
    first.signal(SIGKILL)
    _ = try first.wait()
    #expect(Waiting.until(60) { server.errors.contains("site is away") })
    try clock.set(ahead: day)
    // Time for the aggregator to look several times.
    Thread.sleep(forTimeInterval: 2)
    let second = try join("c", "--resume")
    #expect(Waiting.until(60) { server.errors.components(separatedBy: "site is here").count > 4 })
    server.signal(SIGKILL)
    _ = try server.wait()
    var log = try JSONLog(server.errors).lines
    try clock.set(ahead: -day)
    Thread.sleep(forTimeInterval: 1)
    for child in others + [second] { #expect(!child.hasEnded, "\(child.errors)") }
    server = try serve()
    try expectEnd(parties, others + [second], server)
    log += try JSONLog(server.errors).lines
    #expect(!log.contains { $0["message"] as? String == "going on without sites" })
    // That the clocks did jump, as the aggregator saw them.
    let times = log.compactMap { ($0["time"] as? String).flatMap { try? Date($0, strategy: Self.timeFormat) } }
    #expect(times.count == log.count)
    let span = (times.max() ?? .now).timeIntervalSince(times.min() ?? .now)
    #expect(span > Double(2 * day) - 60, "\(span)")
  }

  private static let timeFormat = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
}
