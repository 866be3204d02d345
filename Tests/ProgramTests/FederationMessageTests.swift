import Foundation
import TestSupport
import Testing

/// What a person is told who gives a federation's commands something wrong.
@Suite(.waiting)
struct FederationMessageTests {
  private let parties: FederationParties
  private var site: Site { parties.site }

  init() throws {
    parties = try FederationParties()
  }

  private func join(_ options: String..., out: String? = nil) throws -> Ended {
    try site.run(.encryptor, parties.join("a", out: out) + ["--patience", "0"] + options)
  }

  private func simulate(_ options: String..., out: String = "simulated") throws -> Ended {
    try site.run(
      .encryptor, ["simulate", "charter.yaml", "a.yaml", "b.yaml", "c.yaml", "--threads", "1", "--out", out] + options)
  }

  private func charter(_ options: String...) throws -> Ended {
    try site.run(.encryptor, ["charter", "charter.yaml"] + options.flatMap { ["--set", $0] })
  }

  @Test func aRunThatIsNotThereIsNotResumed() throws {
    try join("--resume", out: "nowhere").expectRefusal(2, saying: "nowhere holds no site's run", "leave --resume out")
    #expect(!site.exists("nowhere"))
  }

  @Test(arguments: ["/dev/null", "charter.yaml", "charter.yaml/below"]) func aPlaceThatIsNoDirectory(_ out: String)
    throws
  {
    try join(out: out).expectRefusal(2, saying: out, "no directory", "--out")
    try simulate(out: out).expectRefusal(2, saying: out, "no directory", "--out")
    try DataFile().write(to: site["data.h5"])
    try site.write(JobText().text, to: "job.yaml")
    try site.run(
      .encryptor,
      [
        "run", "job.yaml", "--keys", "a", "--trainer-key", "b/owner.pub", "--out", out, "--patience", "0", "--set",
        "trainer=tcp://127.0.0.1:1",
      ]
    ).expectRefusal(2, saying: out, "no directory", "--out")
  }

  @Test func aSimulationNamesTheSiteThatFailed() throws {
    try Data("no rows".utf8).write(to: URL(filePath: site["b.h5"]))
    try simulate().expectRefusal(3, saying: "the site b: ", "not an HDF5 file", afterProgress: true)
  }

  @Test func aGroupKeyThatExists() throws {
    let ended = try site.encryptor("group-key", "group")
    ended.expectRefusal(4, saying: "group.key exists already", "never overwritten")
    #expect(!ended.errors.contains("job"))
  }

  @Test func aSecretKeyInThePlaceOfAPublicOne() throws {
    let secret = site.text("b/owner.key")
    let key = secret.split(separator: "\n").last.map(String.init) ?? ""
    try site.write(site.text("a.yaml") + "trainer: tcp://127.0.0.1:1\nmasking: {strength: rotation}\n", to: "a.yaml")
    let ended = try join("--trainer-key", "b/owner.key")
    ended.expectRefusal(4, saying: "b/owner.key is a secret key's file", ".pub")
    #expect(key.count == 40 && !ended.errors.contains(key))
    // Where a charter names one.
    try site.write(site.text("charter.yaml").replacing("b/owner.pub", with: "b/owner.key"), to: "charter.yaml")
    try charter().expectRefusal(4, saying: "b/owner.key is a secret key's file")
  }

  @Test func numbersThatCannotBe() throws {
    try charter("federation.fixed_point.update_clip=1e-300")
      .expectRefusal(2, saying: "`federation.fixed_point.update_clip` is out of range", "at least 1e-18")
    #expect(try charter("federation.fixed_point.update_clip=1e-18").code == 0)
    try parties.writeCharter(local: "{epochs: 1000}", rounds: 1001)
    try charter()
      .expectRefusal(2, saying: "1001000 passes", "at most 1000000")
    #expect(try charter("federation.rounds=1000").code == 0)
    // 2²⁰ rows, the most that the charter allows, in batches of 16: 65,536 steps a pass.
    try parties.writeCharter(local: "{updates: 131072}", rounds: 500_001)
    try charter()
      .expectRefusal(2, saying: "1000002 passes", "at most 1000000")
    // What only the rows of a site tell: 60 of them are at most four steps a pass.
    try parties.writeCharter(local: "{updates: 5000}", rounds: 1001)
    #expect(try charter().code == 0)
    try join().expectRefusal(2, saying: "times; at most 1000000 passes", "the parties must agree")
  }

  @Test func secretsOfARunUnderAnotherCharter() throws {
    let keys = ", masking: {strength: none}, fixed_point: {update_clip: 64}"
    func write(_ unit: String) throws {
      try parties.writeCharter(
        local: "{updates: 2}", rounds: 1,
        settings: "\(keys), privacy: {unit: \(unit), clip_norm: 1, epsilon: 5, delta: 1.0e-5}")
    }
    try write("record")
    let first = try simulate(out: "first")
    try #require(first.code == 0, "\(first.errors)")
    #expect(try simulate("--secrets-of", "first", out: "again").code == 0)
    try write("site")
    try simulate("--secrets-of", "first", out: "other")
      .expectRefusal(2, saying: "was made under another charter", "--secrets-of", afterProgress: true)
    try parties.writeCharter()
    try simulate("--secrets-of", "first", out: "plain").expectRefusal(2, saying: "--secrets-of is for a charter with")
  }

  @Test func aDeltaThatProtectsNobodyIsWarnedOf() throws {
    func lines(_ unit: String, _ delta: String) throws -> String {
      try parties.writeCharter(
        local: "{updates: 2}", rounds: 1,
        settings: ", fixed_point: {update_clip: 64}, privacy: {unit: \(unit), clip_norm: 1, epsilon: 5, "
          + "delta: \(delta)}")
      let ended = try charter()
      #expect(ended.code == 0, "\(ended.errors)")
      return ended.output
    }
    // Three sites.
    #expect(try lines("site", "0.4").contains("warning: δ 0.4 is not below 1/3, with 3 sites"))
    #expect(try !lines("site", "0.3").contains("is not below"))
    #expect(try lines("record", "0.001").contains("one with 1,000 or more is warned"))
  }

  @Test func plainSumsOfManySites() throws {
    for count in [101, 1000] {
      var sites: [String] = []
      let key = site.text("a/owner.pub")
      for number in 0..<count {
        let own = String(format: "%04d", number)
        // Keys differ, and nobody has their secret halves.
        let line = key.split(separator: "\n").last.map { own + $0.dropFirst(4) } ?? ""
        try site.write("\(line)\n", to: "site\(number).pub")
        sites.append("{name: s\(number), key: site\(number).pub}")
      }
      try site.write(
        site.text("charter.yaml").split(separator: "\n").map { line in
          line.hasPrefix("sites:") ? "sites: [\(sites.joined(separator: ", "))]" : String(line)
        }.joined(separator: "\n"), to: "many.yaml")
      let plain = ["charter", "many.yaml", "--set", "federation.aggregation=plain"]
      let ended = try site.run(.encryptor, plain)
      #expect(ended.code == 0, "\(count): \(ended.errors)")
      try site.run(.encryptor, ["charter", "many.yaml"])
        .expectRefusal(2, saying: "`federation.aggregation: secure` takes at most 100 sites")
    }
  }

  @Test(arguments: [Program.encryptor, .trainer, .aggregator]) func argumentsAreShownInPrintableForm(_ program: Program)
    throws
  {
    let ended = try site.run(program, ["--\u{1B}[31mred\u{7}\u{202E}"])
    #expect(ended.code == 2)
    #expect(ended.errors.contains("\\u{1B}[31mred\\u{7}\\u{202E}"), "\(ended.errors)")
    #expect(!ended.errors.unicodeScalars.contains { $0.value == 0x1B || $0.value == 7 || $0.value == 0x202E })
  }
}
