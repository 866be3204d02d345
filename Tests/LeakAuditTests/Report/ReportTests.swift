import LeakAudit
import Foundation
import Testing

@Suite struct ReportTests {
  private let directory = FileManager.default.temporaryDirectory.appending(path: "audit-\(UUID().uuidString)")

  private var report: AuditReport {
    var curved = SampleReport.result(.knownRows, 8)
    curved.masked?.curve = Curve(
      horizontal: "known rows", vertical: "error", isLogarithmic: true,
      points: [.init(x: 1, y: 1), .init(x: 8, y: 0.05), .init(x: 64, y: .infinity)])
    return SampleReport.with([curved, SampleReport.result(.linkage, nil, status: .inapplicable)], name: "<script>a&b")
  }

  @Test func whatIsWrittenIsReadBack() throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    let files = AuditDirectory(root: directory)
    try files.write(report)
    #expect(try files.load() == report)
    let mode = try FileManager.default.attributesOfItem(atPath: files.json.path)[.posixPermissions] as? Int
    #expect(mode == 0o600)
  }

  /// The two views may have details of their own: each is shown beside the one of its name.
  @Test func detailsAreShownByTheirNames() {
    var result = SampleReport.result(.tokenMatching, 0.5)
    result.masked?.details = [.init("first", 0.25), .init("second", 0.125)]
    result.unmasked?.details = [.init("third", 0.75), .init("second", 0.375)]
    let page = ReportPage(SampleReport.with([result])).html
    #expect(page.contains("<td>first</td><td>0.250</td><td>–</td>"))
    #expect(page.contains("<td>second</td><td>0.125</td><td>0.375</td>"))
  }

  /// A number of rows that was not reached: more than were tried, with no end and no chance level.
  @Test func aValueThatWasNotReachedHasAnIntervalWithoutEnd() throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    var open = SampleReport.result(.knownRows, nil)
    open.masked?.interval = Interval(lower: 257, upper: .infinity)
    open.masked?.chance = nil
    let report = SampleReport.with([open])
    #expect(ReportPage(report).html.contains("not reached (257 or more)"))
    let files = AuditDirectory(root: directory)
    try files.write(report)
    #expect(try files.load() == report)
  }

  /// What is printed first is of this deployment: with one key in force the second is thrown away, and nothing is trained.
  @Test(arguments: [false, true]) func aDeploymentsLimitsAreItsOwn(usesThrowAwayKey: Bool) throws {
    let report = SampleReport.with(
      [],
      deployment: DeploymentTraits(
        id: "0", clients: 2, keys: usesThrowAwayKey ? 1 : 2, usesThrowAwayKey: usesThrowAwayKey))
    let limits = report.outOfScope.joined()
    #expect(limits.contains("two keys of the deployment") == !usesThrowAwayKey)
    #expect(limits.contains("throw-away") == usesThrowAwayKey)
    #expect(!ReportPage(report).html.contains("epochs"))
    #expect(ReportPage(SampleReport.with([])).html.contains("2 epochs"))
  }

  @Test func aMissingReportSaysHowToMakeOne() {
    #expect(throws: AuditError.missing(directory.path + "/audit.json")) { try AuditDirectory(root: directory).load() }
  }

  /// A directory in its place can be read by nobody, whatever the user may do.
  @Test func aReportThatCannotBeReadIsNotMissing() throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    let files = AuditDirectory(root: directory)
    try FileManager.default.createDirectory(at: files.json, withIntermediateDirectories: true)
    let error = #expect(throws: AuditError.self) { try files.load() }
    guard case .closed(files.json.path, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test func aDamagedReportIsUnreadable() throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    let files = AuditDirectory(root: directory)
    try files.write(report)
    try Data("{\"format\": 1}".utf8).write(to: files.json)
    #expect(throws: AuditError.unreadable(files.json.path)) { try files.load() }
  }

  @Test func aReportOfAnotherVersionIsUnreadable() throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    let files = AuditDirectory(root: directory)
    var other = report
    other.format = AuditReport.currentFormat + 1
    try files.write(other)
    #expect(throws: AuditError.unreadable(files.json.path)) { try files.load() }
  }

  /// The name of a job is what its file says.
  @Test func namesDoNotBecomeMarkup() {
    let page = ReportPage(report).html
    #expect(!page.contains("<script"))
    #expect(page.contains("&lt;script&gt;a&amp;b"))
  }

  @Test func thePageNeedsNothingElseAndStartsWithWhatIsOutOfScope() throws {
    let page = ReportPage(report).html
    #expect(!page.contains("http") && !page.contains("src="))
    let limits = try #require(page.range(of: "Out of scope"))
    let table = try #require(page.range(of: "<table"))
    #expect(limits.lowerBound < table.lowerBound)
    #expect(page.contains("<svg"))
    #expect(!page.contains("inf") || !page.contains("points=\"inf"))
  }
}
