import AggregatorRole
import ArgumentParser
import Cryptography
import Federation
import Foundations
import JobSpec
import Logging
import Protocol
import ServerProgram
import Service

struct ServeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Serve one federation from its first sum until every site has the result.",
    discussion: """
      Prints `listening tcp://HOST:PORT` (and `connecting tcp://SITE:PORT` for each --connect) on standard output when ready, and logs to \
      standard error, at a terminal with a table of the sites below. Exits 0 when every site of the charter has fetched the result. \
      SIGTERM or Ctrl-C stops it in good order; after that, or after a kill at any moment, the same command on the same --store goes on, \
      with the same bits.

      A site that is away for longer than the charter's `participation.patience` is left out of the sum under way, and comes back in a \
      later one. While fewer sites are here than the charter asks for, the aggregator waits, and says for whom once a minute.

      STORE/jobs/ID holds the model after each round as the sites send it (model-N.f32, masked as the charter says), a line for each sum \
      (rounds.jsonl) and the state of the sums, which is secret. STORE/audit.log tells which site connected, joined or was refused what \
      and when; `aggregator verify-log STORE` checks it.

      `aggregator --help` says what this program sees, and what it can learn.

      Example: aggregator serve --keys keys --charter charter.yaml --store store --bind tcp://0.0.0.0:5590
      """)

  @OptionGroup
  var place: ServerPlace<Release>

  @Option(help: "The federation's charter: the same bytes at every party.", completion: .file())
  var charter: String

  @OptionGroup
  var reports: ReportOptions

  func run() throws {
    let plan = try FederationPlan.load(path: charter)
    let keys = try KeyFile(.init(server: Release.name), in: place.keys).readKeyPair()
    guard keys.publicKey == plan.aggregatorKey else {
      throw ServiceError(
        .keyOrPermission,
        "the charter names another aggregator's key than \(place.keys)/\(Release.name).pub; give --keys the pair that it names"
      )
    }
    let key = try keys.withSecretBytes { try KeyAgreement(secret: $0) }
    let block = reports.logFormat == .text ? StatusBlock() : nil
    let log = ServerLog(program: Release.name, format: reports.logFormat, level: reports.logLevel, block: block)
    let metrics = AggregatorMetrics()
    try Server<Release>.serve(
      place, owners: .fixed(AuthorizedKeys(Set(plan.siteKeys.map { OwnerKey($0) }))), reports: reports, log: log,
      details: ["federation": "\(plan.charter.name)", "charter": "\(plan.digest.hexadecimal)"],
      addMetrics: { metrics.add(to: &$0) },
      record: { event in
        if case .status(let status) = event { block?.show(SitesTable(status).lines) }
        log.record(event)
      }
    ) { service -> AggregatorHandler in
      let handler = try AggregatorHandler(
        AggregatorConfiguration(
          service: service, plan: plan, key: key, software: Release.software, metrics: metrics))
      if let finished = handler.finished { log.record(finished) }
      return handler
    }
  }
}

extension ServerLog {
  /// What is left to do of a federation that is over.
  func record(_ finished: FinishedFederation) {
    let rest =
      finished.missing.isEmpty
      ? "every site holds the result; this process ends when none has asked for a while"
      : "handing out the result to the sites that do not hold it"
    logger.notice(
      "this federation is finished: \(rest)",
      metadata: [
        "rounds": "\(finished.result.rounds)", "sha256": "\(finished.result.model)",
        "reason": "\(finished.result.reason)", "sites": "\(finished.missing.joined(separator: ","))",
      ])
  }

  /// What an aggregator does beside what every server does.
  func record(_ event: AggregatorEvent) {
    switch event {
    case .siteJoined(let site): logger.notice("site is here", metadata: ["site": "\(site)"])
    case .siteAway(let site): logger.warning("site is away", metadata: ["site": "\(site)"])
    case .siteTwice(let site):
      logger.warning("a site's key at two places; the connection before is let go of", metadata: ["site": "\(site)"])
    case .secondRefused(let site):
      logger.warning(
        "a second program under a site's key is refused, the first is at work", metadata: ["site": "\(site)"])
    case .otherGroupKey(let site, let reason):
      logger.warning("a site has another group key", metadata: ["site": "\(site)", "reason": "\(reason)"])
    case .settingUp(let sums): logger.notice("setting up keys", metadata: ["sums": "\(sums)"])
    case .sumBegan(let purpose, let cohort):
      logger.notice("sum begun", metadata: ["sum": "\(purpose)", "sites": "\(cohort.joined(separator: ","))"])
    case .goingOn(let purpose, let missing):
      logger.warning(
        "going on without sites", metadata: ["sum": "\(purpose)", "sites": "\(missing.joined(separator: ","))"])
    case .sumDone(let record):
      var metadata: Logger.Metadata = [
        "sum": "\(record.purpose)", "sites": "\(record.survivors.joined(separator: ","))",
        "seconds": "\(QuantityText.fixed(record.seconds, 1))",
      ]
      for (name, value) in record.means { metadata[name] = "\(QuantityText.fixed(value, 4))" }
      logger.notice("sum done", metadata: metadata)
    case .modelMade(let rounds, let hash, let site):
      var metadata: Logger.Metadata = ["rounds": "\(rounds)", "sha256": "\(hash)"]
      if let site { metadata["site"] = "\(site)" }
      logger.notice("model", metadata: metadata)
    case .uploadDropped(let site, let reason):
      logger.warning("upload not added", metadata: ["site": "\(site)", "reason": "\(reason)"])
    case .waiting(let reason): logger.warning("\(reason)")
    case .trouble(let reason): logger.error("cannot go on; tried again", metadata: ["reason": "\(reason)"])
    case .result(let result):
      logger.notice(
        "federation done",
        metadata: ["rounds": "\(result.rounds)", "sha256": "\(result.model)", "reason": "\(result.reason)"])
    case .fetched(let site): logger.notice("result fetched", metadata: ["site": "\(site)"])
    case .status: break
    }
  }
}
