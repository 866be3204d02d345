import AggregatorRole
import ArgumentParser
import Foundation
import Foundations
import Service

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Show where the federation in a store stands, and its sites.",
    discussion: """
      Reads the store's files alone: it needs no aggregator, no keys and no network, and writes nothing.

      Example: aggregator status --store /scratch/federation --json
      """)

  @Option(help: "The aggregator's directory.", completion: .directory)
  var store: String

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let report = try FederationSurvey(store: URL(filePath: store)).report()
    guard json else {
      print(report.aggregator?.line(program: Release.name) ?? "no aggregator is at work here")
      for line in report.federation.map({ SitesTable($0).lines }) ?? ["no site has joined yet"] { print(line) }
      return
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    print(String(decoding: try encoder.encode(report), as: UTF8.self))
  }
}

/// A federation's status for a person: a line about all, then one about each site.
struct SitesTable {
  let lines: [String]

  init(_ status: FederationStatus) {
    let width = status.sites.map(\.name.count).max() ?? 0
    var head =
      "\(status.federation): round \(status.round) of \(status.rounds), \(status.sumsDone) of \(status.sums) sums, \(status.stage)"
    if !status.waitingFor.isEmpty { head += "; waiting for \(status.waitingFor.joined(separator: ", "))" }
    if let result = status.result { head += "; \(result)" }
    lines =
      [head.printable(limit: 2000)]
      + status.sites.map { site in
        let name = site.name.printable(limit: 80).padding(toLength: width, withPad: " ", startingAt: 0)
        return "  \(name)  \(site.state.rawValue) since \(site.since.printable(limit: 40))"
      }
  }
}
