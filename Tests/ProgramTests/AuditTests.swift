import Foundation
import Testing
import TestSupport

/// `audit`, and what its gate lets through.
@Suite(.waiting)
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
    // More than any attack needs here; a gate asks that none is cut short, however slow the machine.
    try site.run(.encryptor, ["audit", "job.yaml", "--minutes", "10"] + options, seconds: 300)
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
    #expect(ended.output.contains("masked (95 %)") && ended.output.contains(" … "), "intervals")
    #expect(ended.output.contains("What would lower it: --set masking.noise.sigma="), "advice")
    #expect(ended.errors.contains("attack 9 of 9"), "progress")
    let json = try audit("--json", "--out", "elsewhere")
    #expect(json.code == 0, "\(json.errors)")
    let report = try #require(try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
    let attacks = try #require(report["attacks"] as? [[String: Any]])
    #expect(attacks.count == 9)
    #expect(attacks.allSatisfy { $0["status"] as? String == "measured" || $0["reason"] != nil })
    #expect(report["isViewCutShort"] as? Bool == false)
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

  /// The job names the same directory, and another model is in it.
  @Test func anAuditOfAnotherCheckpoint() throws {
    try TokenFiles().write(to: site)
    try site.write(
      """
      name: tiny
      data: {file: tokens.h5, tokens: ids, mask: mask, labels: labels, split: {validation: 0.2, seed: 7}}
      task: classification
      model: {huggingface: bert}
      masking: {base_model: private}
      optimizer: {lr: 0.05}
      audit: {gate: {matching_max: 1}}
      """, to: "job.yaml")
    let ended = try audit()
    #expect(ended.code == 0, "\(ended.errors)")
    #expect(try run().code == 5)
    var bytes = try site.bytes("bert/model.safetensors")
    bytes[bytes.count - 4] ^= 1
    try bytes.write(to: URL(filePath: site["bert/model.safetensors"]))
    try run().expectRefusal(7, saying: "an audit of something else: the files of the checkpoint differ")
  }

  @Test func anAuditByAnotherVersion() throws {
    try gate("matching_max: 1")
    #expect(try audit().code == 0)
    let report = site.text("audits/tiny/audit.json")
    let other = report.replacing(#/"program" : "encryptor [^"]*"/#, with: "\"program\" : \"encryptor 0.0.1\"")
    #expect(other != report)
    try site.write(other, to: "audits/tiny/audit.json")
    try run().expectRefusal(7, saying: "it was made by encryptor 0.0.1, and this is encryptor ")
  }

  /// No limit is so lax that what was not measured would meet it.
  @Test func anAuditThatHadNoTimePassesNothing() throws {
    try gate("matching_max: 1, label_information_max: 1")
    let ended = try site.encryptor("audit", "job.yaml", "--minutes", "0.000001")
    #expect(ended.code == 7)
    #expect(ended.errors.contains("matching_max: 1, but ") && ended.errors.contains("label_information_max: 1, but "))
    #expect(ended.errors.contains("give the audit more --minutes"))
    try run().expectRefusal(7, saying: "give the audit more --minutes")
  }

  /// 45 training rows: nobody can say what a million would tell.
  @Test func moreKnownRowsThanThereAre() throws {
    try gate("known_rows_min: 1000000")
    let ended = try audit()
    #expect(ended.code == 7, "\(ended.errors)")
  }

  @Test func aLimitOnWhatIsNotThereSaysSo() throws {
    try gate("token_recovery_max: 0.05")
    let ended = try audit()
    #expect(ended.code == 0, "\(ended.errors)")
    let notice = "audit.gate passes token_recovery_max: 0.050: nothing to attack, the rows are features, not tokens\n"
    #expect(ended.errors.contains(notice))
    let passed = try run()
    #expect(passed.code == 5 && passed.errors.contains(notice))
  }

  /// Before minutes of work, not after them.
  @Test(arguments: ["job.yaml", "/proc/nowhere", "taken"])
  func aDirectoryThatCannotBeWrittenIsRefusedFirst(_ directory: String) throws {
    try FileManager.default.createDirectory(atPath: site["taken/audit.json"], withIntermediateDirectories: true)
    let ended = try audit("--out", directory)
    #expect(ended.code != 0 && ended.code != 70 && !ended.errors.contains("attack 1 of 9"), "\(ended.errors)")
  }

  /// Reports stay under audits/.
  @Test func aNameThatIsNoDirectoryOfItsOwn() throws {
    try site.write(site.text("job.yaml").replacing("name: tiny", with: "name: \"..\""), to: "job.yaml")
    let ended = try audit()
    #expect(ended.code == 2 && ended.errors.contains("cannot be the name of a directory"), "\(ended.errors)")
    #expect(!site.exists("audit.json"))
  }

  /// 45 rows are fewer than models are compared by.
  @Test func aLimitOnWhatCannotBeMeasuredFails() throws {
    try gate("membership_max: 1")
    let ended = try audit()
    let failure = "membership_max: 1, but it was not measured: the job trains on fewer than 64 rows"
    #expect(ended.code == 7 && ended.errors.contains(failure), "\(ended.errors)")
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
