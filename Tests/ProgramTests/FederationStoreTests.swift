import Foundation
import TestSupport
import Testing

/// What the programs of a federation say of stores and run directories that are over, damaged, or came to nothing.
@Suite(.waiting)
struct FederationStoreTests {
  @Test func aRefusedJoinIsTakenOverAndAFinishedOrDamagedStoreSaysSo() throws {
    let parties = try FederationParties(local: "{updates: 5}", rounds: 2)
    let site = parties.site
    try parties.simulate()
    let charter = site.text("charter.yaml")
    var server = try site.start(.aggregator, parties.serve + ["--bind", parties.address])
    // It has read its charter by then.
    #expect(Waiting.until(60) { server.output.contains("listening") || server.hasEnded }, "\(server.errors)")
    // Another charter than the aggregator's: refused, and the directory is no obstacle to the right one.
    try site.write(charter.replacing("batch: 16", with: "batch: 8"), to: "charter.yaml")
    let other = try site.start(.encryptor, parties.join("a"))
    try site.end(other, seconds: 60).expectRefusal(6, saying: "yours is another", afterProgress: true)
    #expect(site.exists("run-a/state/site.json"))
    try site.write(charter, to: "charter.yaml")
    let sites = try FederationParties.names.map { try site.start(.encryptor, parties.join($0)) }
    for (name, child) in zip(FederationParties.names, sites) {
      try #require(try child.wait(seconds: 120) == 0, "\(name): \(child.errors)")
      try parties.expectBitsOfSimulation(name)
    }
    #expect(try server.wait(seconds: 60) == 0)
    // A run that has come to something is not taken over.
    try site.run(.encryptor, parties.join("a")).expectRefusal(2, saying: "already holds a site's run")

    server = try site.start(.aggregator, parties.serve + ["--bind", parties.address])
    #expect(try server.wait(seconds: 60) == 0)
    #expect(server.errors.contains("this federation is finished: every site holds the result"), "\(server.errors)")
    let folder = try #require(
      try FileManager.default.contentsOfDirectory(atPath: site["aggregator-store/jobs"]).first)
    for name in ["model-2.f32", "agenda.json", "sums.state"] {
      let path = "aggregator-store/jobs/\(folder)/\(name)"
      var bytes = try site.bytes(path)
      let good = bytes
      bytes[bytes.count / 2] ^= 1
      try bytes.write(to: URL(filePath: site[path]))
      let damaged = try site.start(.aggregator, parties.serve + ["--bind", parties.address])
      try site.end(damaged, seconds: 60).expectRefusal(
        3, saying: "/\(name) ", "put back a copy", afterProgress: true, program: .aggregator)
      try good.write(to: URL(filePath: site[path]))
    }
    let shown = "aggregator-store/jobs/\(folder)/sites.json"
    try site.write(
      site.text(shown).replacing(/"sums_done" : [0-9]+/, with: "\"sums_done\" : -3"), to: shown)
    try site.run(.aggregator, ["status", "--store", "aggregator-store"])
      .expectRefusal(3, saying: "sites.json", "writes it anew", program: .aggregator)
  }

  @Test func anEmptyEventLogIsNotCalledWhole() throws {
    let site = try Site(keys: false)
    try site.write("", to: "audit.log")
    let ended = try site.run(.aggregator, ["verify-log", "audit.log"])
    #expect(ended.code == 7 && !ended.output.contains("whole"), "\(ended)")
    #expect(ended.errors.contains("holds no whole line: there is nothing to check"), "\(ended.errors)")
  }
}
