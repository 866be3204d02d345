import ArgumentParser
import Federation
import Foundation
import Foundations
import JobSpec
import Masking
import Numerics
import OwnerRole
import Protocol
import SiteRole

struct SimulateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate",
    abstract: "Run a whole federation in this process, to plan one on synthetic or public data.",
    discussion: """
      The aggregator and all sites are here, with the same code and messages as the real ones, over a channel in memory instead of the \
      network, and with connection keys made for the purpose. With the same charter, group key and files the model is the same to the bit; \
      under `federation.privacy` also with the same secrets (--secrets-of). \
      A provider that a site's file names is not asked: all sites train here.
      Never for rows that may not be in one place: whoever runs this sees all of them.

      DIR/aggregator is the aggregator's store; DIR/NAME is the run directory of each site.

      Example: encryptor simulate charter.yaml northeast.yaml south.yaml west.yaml --out runs/simulated
      """)

  @Argument(help: "The charter.", completion: .file(extensions: ["yaml", "yml"]))
  var charter: String

  @Argument(help: "One file for each site of the charter.", completion: .file(extensions: ["yaml", "yml"]))
  var sites: [String]

  @Option(help: "The key that all sites share; one is made for the purpose if none is given.", completion: .file())
  var groupKey: String?

  @Option(
    help: ArgumentHelp(
      "With `federation.privacy`: repeat noise and batches of the runs in DIR/NAME, for their bits. Only with their files.",
      valueName: "dir"), completion: .directory)
  var secretsOf: String?

  @Option(name: .customLong("out"), help: "The directory to make.", completion: .directory)
  var output: String

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp("Override a key of the charter (repeatable).", valueName: "key=value"))
  var overrides: [String] = []

  @OptionGroup var machine: ThreadsOption<SimulationWords>

  func run() throws {
    let interruption = Interruption()
    let signals = InterruptSignals(interruption)
    defer { withExtendedLifetime(signals) {} }
    try RunDirectory(root: URL(filePath: output)).checkPlace()
    if let entries = try? FileManager.default.contentsOfDirectory(atPath: output), !entries.isEmpty {
      throw SiteError.otherRun("\(output) is not empty; choose another --out")
    }
    let loaded = try Charter.load(path: charter, overrides: overrides, files: [.columns, .model])
    guard secretsOf == nil || loaded.charter.federation.privacy != nil else {
      throw SiteError.unsupported(
        "--secrets-of is for a charter with `federation.privacy`, and this one has none; leave it out")
    }
    let federation = try LocalFederation(
      loaded, sites: try sites.map { try SiteSpecification.load(path: $0, charter: loaded.charter).trainingItself },
      root: URL(filePath: output), threads: machine.threads, software: Release.software,
      secretsOf: secretsOf.map { URL(filePath: $0) })
    let group = try groupKey.map { try GroupKeyFile(path: $0).read() } ?? GroupKey()
    KernelNotice.show()
    StandardError.write(
      "\(loaded.charter.name): \(loaded.charter.sites.count) sites in this process, "
        + "\(loaded.charter.federation.rounds) rounds, strategy \(loaded.charter.federation.strategy.kind.rawValue)\n")
    let first = try federation.run(group: group, isInterrupted: { interruption.isRequested })
    print(
      FederationSummary(
        records: first.records, report: first.report, scores: first.scores,
        model: federation.directory(of: first.report.site).run.model.path
      ).text)
    if let privacy = first.privacy { print("\n" + PrivacyText.spent(privacy)) }
  }
}
