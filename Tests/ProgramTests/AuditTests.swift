import Foundation
import Testing

/// `audit`, and what its gate lets through.
struct AuditTests {
  private let site: Site

  init() throws {
    site = try Site()
    try DataFile().write(to: site["data.h5"])
    try site.write(JobText().text, to: "job.yaml")
  }

  private func gate(_ limits: String) throws {
    try site.write(JobText(extra: "audit: {gate: {\(limits)}}\n").text, to: "job.yaml")
  }

  private func audit(_ options: String...) throws -> Ended {
    try site.run(.encryptor, ["audit", "job.yaml", "--minutes", "0.2"] + options)
  }

  /// With no trainer there: what the gate lets through ends with exit code 5.
  private func run() throws -> Ended {
    try site.run(.encryptor, site.launch(trainer: Site.unusedEndpoint(), ["--patience", "0"]))
  }

  @Test func theReportIsPrintedAndWritten() throws {
    let ended = try audit()
    #expect(ended.code == 0, "\(ended.errors)")
    #expect(ended.output.hasPrefix("Masking with a fixed linear key is obfuscation, not semantic security."))
    #expect(
      ended.output.contains("Known rows") && ended.output.hasSuffix("report: \(site["audits/tiny/audit.html"])\n"))
    #expect(ended.errors.contains("attack 9 of 9"), "progress")
    let json = try audit("--json", "--out", "elsewhere")
    #expect(json.code == 0, "\(json.errors)")
    let report = try #require(try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
    let attacks = try #require(report["attacks"] as? [[String: Any]])
    #expect(attacks.count == 9)
    #expect(attacks.allSatisfy { $0["status"] as? String == "measured" || $0["reason"] != nil })
    #expect(site.bytesEqual("elsewhere/audit.json", json.output))
  }

  @Test func aGateWithoutAnAuditLetsNothingThrough() throws {
    try gate("matching_max: 1")
    try run().expectRefusal(7, saying: "there is no", "make one with `encryptor audit`")
    #expect(!site.exists("run"), "nothing is made")
  }

  @Test func anAuditThatPassesLetsTheJobThrough() throws {
    try gate("matching_max: 1")
    #expect(try audit().code == 0)
    #expect(try run().code == 5)
  }

  /// Four features: six rows with their plaintext are more than enough.
  @Test func anAuditThatDoesNotPass() throws {
    try gate("known_rows_min: 40")
    let ended = try audit()
    #expect(ended.code == 7)
    #expect(ended.errors.hasSuffix(")\n") && ended.errors.contains("known_rows_min: 40, measured "), "\(ended.errors)")
    try run().expectRefusal(7, saying: "the audit does not pass the job's audit.gate: known_rows_min: 40, measured ")
  }

  @Test func anAuditOfAnotherJob() throws {
    try gate("matching_max: 1")
    #expect(try audit().code == 0)
    try site.write(JobText(epochs: 3, extra: "audit: {gate: {matching_max: 1}}\n").text, to: "job.yaml")
    try run().expectRefusal(7, saying: "an audit of something else: the resolved job differs")
  }

  @Test func anAuditOfOtherData() throws {
    try gate("matching_max: 1")
    #expect(try audit().code == 0)
    try DataFile(rows: 61).write(to: site["data.h5"])
    try run().expectRefusal(7, saying: "an audit of something else: the data file differs")
  }

  @Test func aDamagedReport() throws {
    try gate("matching_max: 1")
    #expect(try audit().code == 0)
    try site.write("{", to: "audits/tiny/audit.json")
    try run().expectRefusal(7, saying: "is no report that this version can read")
  }

  @Test func minutesOutOfRange() throws {
    let ended = try site.encryptor("audit", "job.yaml", "--minutes", "0")
    #expect(ended.code == 2 && ended.errors.contains("--minutes must be above 0"))
  }
}

extension Site {
  fileprivate func bytesEqual(_ name: String, _ text: String) -> Bool {
    (try? bytes(name)) == Data(text.trimmingCharacters(in: .newlines).utf8)
  }
}
