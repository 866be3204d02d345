import AggregatorRole
import ArgumentParser
import Federation
import Foundation
import Foundations
import ServerProgram
import Service

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Show where the federation in a store stands, and its sites.",
    discussion: """
      Reads the store's files alone: it needs no aggregator, no keys and no network, and writes nothing.

      Example: aggregator status --store /scratch/federation --json
      """)

  @OptionGroup var options: StatusOptions<Release>

  func run() throws {
    let report = try FederationSurvey(store: URL(filePath: options.store)).report()
    try options.show(
      report,
      lines: [report.aggregator?.line(program: Release.name) ?? "no aggregator is at work here"]
        + (report.federation.map { SitesTable($0).lines } ?? ["no site has joined yet"]))
  }
}

/// A federation's status for a person: a line about all, then one about each site.
struct SitesTable {
  let lines: [String]

  init(_ status: FederationStatus) {
    let width = status.sites.map(\.name.count).max() ?? 0
    var head =
      "\(status.federation): round \(status.round) of \(status.rounds), \(status.sumsDone) of \(status.sums) sums, \(status.stage)"
    // A stage that is waiting says so by itself.
    if !status.waitingFor.isEmpty, !status.stage.hasPrefix("waiting") {
      head += "; waiting for \(AwaitedSites(Array(status.waitingFor.indices)).text { status.waitingFor[$0] })"
    }
    if let result = status.result { head += "; \(result)" }
    lines =
      [head.printable(limit: 2000)]
      + status.sites.map { site in
        let name = site.name.printable(limit: 80).padding(toLength: width, withPad: " ", startingAt: 0)
        return "  \(name)  \(site.state.rawValue) since \(site.since.printable(limit: 40))"
      }
  }
}
