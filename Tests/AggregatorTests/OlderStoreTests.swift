import Files
import Foundation
import Protocol
import Testing
import TestSupport

@testable import AggregatorRole

/// Stores of which one file is of another moment than the rest, or is gone: said by the file's name when an aggregator starts, not by sites that
/// are asked for what they have answered.
@Suite(.waiting, .timeLimit(.minutes(3))) struct OlderStoreTests {
  static let files = [
    ("secure", "agenda.json"), ("secure", "sums.state"), ("plain", "agenda.json"), ("plain", "sums.json"),
  ]

  @Test(arguments: files)
  func anOlderCopyOfOneFileIsNamed(_ aggregation: String, _ name: String) throws {
    let trial = try FederationTrial(TestFederation(rounds: 3, aggregation: aggregation))
    let messages = MessageCount(reaching: 25)
    trial.network.setFault { messages.pass($0) }
    trial.startSites()
    #expect(eventually { messages.isReached })
    trial.aggregator.kill()
    let file = try trial.content.folder.appending(path: name)
    let old = try Data(contentsOf: file)
    try trial.restart()
    try trial.expectEnd()
    try old.write(to: file)
    trial.expectRefusal(naming: name, "older", saying: "older copy")
  }

  /// What a kill can leave is one record more than the agenda has; the sums' own state tells that from an agenda of before the last sum.
  @Test(arguments: ["secure", "plain"]) func anAgendaOfBeforeTheLastSumIsNamed(_ aggregation: String) throws {
    let trial = try FederationTrial(TestFederation(aggregation: aggregation))
    trial.startSites()
    let content = try trial.expectEnd()
    let file = content.folder.appending(path: "agenda.json")
    var (agenda, _) = try #require(CheckedJSON.decode(Agenda.self, from: Data(contentsOf: file)))
    agenda.done -= 1
    (agenda.result, agenda.fetched) = (nil, [])
    agenda.records = try LineLog.lines(of: content.folder.appending(path: "rounds.jsonl").path)
      .prefix(agenda.done).reduce(nil, Agenda.chained)
    try CheckedJSON.encode(agenda).write(to: file)
    trial.expectRefusal(naming: "agenda.json", "one sum old", saying: "older copy")
  }

  /// It has no check of its own then, as in a store of the version before.
  @Test func plainSumsOfBeforeTheLastSumAreNamed() throws {
    let trial = try FederationTrial(TestFederation(aggregation: "plain"))
    trial.startSites()
    let content = try trial.expectEnd()
    try editJSON(content.folder.appending(path: "sums.json")) { object in
      (object["check"], object["version"]) = (nil, nil)
      object["next"] = (object["next"] as? Int ?? 0) - 1
    }
    trial.expectRefusal(naming: "sums.json", "one sum old", saying: "older copy")
  }

  /// Sites would take the new set-up's number for a replay, and accuse the aggregator.
  @Test func aStateOfMaskedSumsThatIsGoneBeforeTheFirstSumIsNamed() throws {
    let trial = try FederationTrial(TestFederation())
    let messages = MessageCount(reaching: 14)
    trial.network.setFault { messages.pass($0) }
    trial.startSites()
    #expect(eventually { messages.isReached })
    trial.aggregator.kill()
    let file = try trial.content.folder.appending(path: "sums.state")
    let good = try Data(contentsOf: file)
    #expect(try trial.content.records.isEmpty)
    try FileManager.default.removeItem(at: file)
    trial.expectRefusal(naming: "sums.state", "removed", saying: "not there any more")
    try good.write(to: file)
    try trial.restart()
    trial.expectNoTrace(try trial.expectEnd())
  }
}
