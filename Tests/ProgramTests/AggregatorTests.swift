import Foundation
import TestSupport
import Testing

/// The aggregator's program: its commands without sites. Federations themselves are tested in process, and with the sites' programs.
@Suite(.waiting)
struct AggregatorProgramTests {
  private let site: Site

  init() throws {
    site = try Site(keys: false)
    try site.makeFederationKeys()
    try site.writeLinearCharter(Self.federation)
  }

  private static let federation = "rounds: 3, local: {epochs: 1}"

  private let serve = [
    "serve", "--keys", "aggregator", "--charter", "charter.yaml", "--store", "store", "--bind", "tcp://127.0.0.1:0",
  ]

  private func start() throws -> ChildProcess {
    let child = try site.start(.aggregator, serve)
    _ = Waiting.until(30) { child.output.contains("\n") || child.hasEnded }
    try #require(child.output.hasPrefix("listening tcp://127.0.0.1:"), "\(child.output)\(child.errors)")
    return child
  }

  @Test func keysAreMadeOnceWithTheSecretForItsAccountAlone() throws {
    let attributes = try FileManager.default.attributesOfItem(atPath: site["aggregator/aggregator.key"])
    #expect(attributes[.posixPermissions] as? Int == 0o600)
    #expect(site.exists("aggregator/aggregator.pub"))
    try site.run(.aggregator, ["keygen", "aggregator"]).expectRefusal(
      4, saying: "never overwritten", program: .aggregator)
  }

  @Test func itServesIsSeenByStatusAndStopsInGoodOrder() throws {
    let child = try start()
    let alive = try site.run(.aggregator, ["status", "--store", "store"])
    #expect(alive.code == 0)
    #expect(alive.output.contains("aggregator: process \(child.processID)"))
    #expect(alive.output.contains("no site has joined yet"))
    try site.run(.aggregator, serve)
      .expectRefusal(2, saying: "is held by another aggregator", program: .aggregator)
    child.signal(SIGTERM)
    #expect(try child.wait(seconds: 10) == 0)
    let ended = try site.run(.aggregator, ["status", "--store", "store", "--json"])
    let report = try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [String: Any]
    #expect(report?["store"] as? String != nil)
    #expect(report?["aggregator"] == nil)
    let log = try site.run(.aggregator, ["verify-log", "store"])
    #expect(log.code == 0)
    #expect(log.output.contains("the chain is whole"))
  }

  /// A store is its server's alone.
  @Test func aTrainersStoreIsRefusedAndTheOtherWayRound() throws {
    let child = try start()
    child.signal(SIGTERM)
    #expect(try child.wait(seconds: 10) == 0)
    #expect(try site.run(.trainer, ["keygen", "trainer"]).code == 0)
    try site.write("", to: "owners.txt")
    try site.run(
      .trainer,
      ["serve", "--keys", "trainer", "--authorized", "owners.txt", "--store", "store", "--bind", "tcp://127.0.0.1:0"]
    ).expectRefusal(3, saying: "format aggregator 1", program: .trainer)
    try site.run(.trainer, ["status", "--store", "store"])
      .expectRefusal(3, saying: "format aggregator 1", program: .trainer)
  }

  @Test func whatCannotBeServedIsRefusedWithItsCode() throws {
    #expect(try site.run(.aggregator, ["keygen", "other"]).code == 0)
    try site.run(.aggregator, serve.map { $0 == "aggregator" ? "other" : $0 })
      .expectRefusal(4, saying: "the charter names another aggregator's key", program: .aggregator)
    try site.writeLinearCharter(Self.federation + ", threshold: 1")
    try site.run(.aggregator, serve).expectRefusal(2, saying: "threshold", program: .aggregator)
    try site.writeLinearCharter(Self.federation)
    try site.write(site.text("charter.yaml").replacing("b/owner.pub", with: "a/owner.pub"), to: "charter.yaml")
    try site.run(.aggregator, serve).expectRefusal(
      2, saying: "`a` and `b` have the same key file", program: .aggregator)
    try site.run(.aggregator, ["status", "--store", "nowhere"])
      .expectRefusal(3, saying: "there is no store", program: .aggregator)
    #expect(!site.exists("store"), "nothing was made")
  }
}
