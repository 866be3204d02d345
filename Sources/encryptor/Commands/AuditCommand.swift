import Foundations
import Models
import ArgumentParser
import Foundation
import JobSpec
import LeakAudit
import OwnerRole
import Numerics

struct AuditCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit",
    abstract:
      "Attack a job as its provider could, or a deployment as its host, here, and report what that finds. Sends nothing.",
    discussion: """
      Masks a sample of the job's rows with throw-away keys, trains on them, and tries the strongest known attacks on exactly what the trainer \
      would see, each beside the same attack on unmasked data. A fixed linear mask is obfuscation, not semantic security: an attack that \
      fails here has failed in the time it had. Writes audit.json and audit.html to --out and prints a table.

      Exits 7 when the job has an audit.gate that the result does not pass: an attack found more than its limit, where of a value with an \
      interval the end that leaks more counts; or it was cut short, had no time, or could not be measured. A limit on what is not there \
      (tokens in a job of features) passes and says so.

      Of a deployment (a directory that `encryptor deploy` made) it masks samples of --data under the deployment's own keys, asks some of them \
      twice, makes the copy that another client or a rotation would have, and generates where the model does: what questions show, instead of \
      what training shows. The gate is that of the deployed run's job.

      Example: encryptor audit jobs/tox21.yaml --set data.file=/data/tox21_morgan2048.h5 --minutes 5
      Example: encryptor audit deployments/pbmc --data new.h5ad --rows 4096
      """)

  @OptionGroup var job: JobOptions
  @OptionGroup var processing: ThreadsOption<OwnerWords>

  @Option(
    name: .customLong("out"),
    help: "Where the report goes. (default: audits/NAME, NAME being the job's, or audits/DIRECTORY-deployment)",
    completion: .directory)
  var output: String?

  @Option(
    help: ArgumentHelp(
      "How long the observed run, the noise's cost and the attacks may take together.",
      discussion: """
        What is cut short says so, and passes no gate. Opening files, a step that has begun and scoring come on top; the attacks have a \
        quarter of the minutes at least, however long the rest took.
        """))
  var minutes: Double = 5

  @Option(
    help: "Of a deployment: an HDF5 file of samples to ask about. (default: the data of the deployed run)",
    completion: .file())
  var data: String?

  @Option(help: "Of a deployment: path of the features or token ids in it. (default: as in the training data)")
  var features: String?

  @Option(help: "Of a deployment: samples that are read, the first of the file. (default: 4096)")
  var rows: Int?

  @Option(
    help: ArgumentHelp(
      "Of a deployment: whether the host can have the checkpoint that its model is, or began from. (default: as the model's job says)",
      discussion:
        "Of a directory that was deployed as it is nobody has said it: the attack by base weights is not made then.",
      valueName: "public|private"))
  var baseModel: BaseModelVisibility?

  @Flag(help: "Print the report as JSON instead of the table.")
  var json = false

  func validate() throws {
    guard minutes > 0, minutes <= 10_000 else { throw ValidationError("--minutes must be above 0 and at most 10000") }
    if let rows, !DeploymentAudit.rowLimit.contains(rows) {
      throw ValidationError(
        "--rows must be \(DeploymentAudit.rowLimit.lowerBound) to \(DeploymentAudit.rowLimit.upperBound)")
    }
  }

  func run() throws {
    let deployment = DeploymentDirectory(root: URL(filePath: job.job))
    guard !deployment.exists else { return try auditDeployment(deployment) }
    guard data == nil, features == nil, rows == nil, baseModel == nil else {
      throw OwnerError.run(
        "\(job.job) is no deployment: --data, --features, --rows and --base-model are for one; a job names its data, --set data.file=FILE"
      )
    }
    let resolved = try job.load()
    let directory = AuditDirectory(root: URL(filePath: try output ?? AuditOption.defaultDirectory(resolved)))
    // Minutes of work are not to end in a directory that cannot be written.
    try directory.checkWritable()
    let prepared = try PreparedJob(job: resolved, secret: try OrderSecret(ephemeralWithSeed: resolved.train.seed))
    KernelNotice.show()
    let report = try JobAudit(prepared, compute: processing.compute).report(
      minutes: minutes, program: Release.software, observe: progress())
    try show(report, in: directory, gate: resolved.audit)
  }

  private func progress() -> (AuditProgress) -> Void {
    let training = CountDisplay("observing a short run: step")
    return { event in
      switch event {
      case .step(let done, let total):
        training.show(done, of: total)
        if done == total { training.end() }
      case .line(let text): StandardError.write("\(text)\n")
      }
    }
  }

  private func show(_ report: AuditReport, in directory: AuditDirectory, gate: AuditGate?) throws {
    try directory.write(report)
    print(
      json
        ? String(decoding: try AuditDirectory.text(report), as: UTF8.self)
        : AuditTable(report: report, page: directory.page.path).text)
    if let gate { try AuditOption.check(report, gate) }
  }

  private func auditDeployment(_ deployment: DeploymentDirectory) throws {
    guard job.overrides.isEmpty else {
      throw OwnerError.run("\(job.job) is a deployment, which has no keys of a job to --set")
    }
    let audit = try DeploymentAudit(deployment, compute: processing.compute)
    let name = deployment.root.standardizedFileURL.lastPathComponent
    let directory = AuditDirectory(root: URL(filePath: output ?? "audits/\(name)-deployment"))
    // Minutes of work are not to end in a directory that cannot be written.
    try directory.checkWritable()
    let gate = try audit.gate()
    let subject = try audit.open(data: data, features: features, observe: progress())
    KernelNotice.show()
    let report = try audit.report(
      on: subject, rows: rows ?? 4096, baseModel: baseModel, minutes: minutes,
      program: Release.software, observe: progress())
    try show(report, in: directory, gate: gate)
  }
}

/// Where to find the audit that a job with a gate needs before it is sent.
struct AuditOption: ParsableArguments {
  @Option(
    name: .customLong("audit"),
    help: ArgumentHelp(
      "The directory of the job's audit, for a job with audit.gate. (default: audits/NAME)", valueName: "directory"),
    completion: .directory)
  var directory: String?

  /// - Throws: `OwnerError.unfitJob` for a name that is no directory of its own.
  static func defaultDirectory(_ job: ResolvedJob) throws -> String {
    guard job.name.contains(where: { $0 != "." }) else {
      throw OwnerError.unfitJob(
        "name: \(job.name) cannot be the name of a directory; say where the audit is: --out, --audit")
    }
    return "audits/\(job.name)"
  }

  /// - Throws: `AuditError` unless the job has no gate, or this version's audit of just this job, data and checkpoint passes it.
  func check(_ job: ResolvedJob) throws {
    guard let gate = job.audit else { return }
    let directory = AuditDirectory(root: URL(filePath: try directory ?? Self.defaultDirectory(job)))
    let report = try directory.load()
    let subject = try AuditSubject(job)
    let differences = [
      (report.program == Release.software, "it was made by \(report.program), and this is \(Release.software)"),
      (report.jobDigest == subject.jobDigest, "the resolved job differs"),
      (report.dataDigest == subject.dataDigest, "the data file differs"),
      (report.checkpointDigest == subject.checkpointDigest, "the files of the checkpoint differ"),
    ]
    if let difference = differences.first(where: { !$0.0 })?.1 {
      throw AuditError.otherSubject(path: directory.json.path, difference: difference)
    }
    try Self.check(report, gate)
  }

  /// Says what passes only because there is nothing to attack: the owner may have meant something else.
  static func check(_ report: AuditReport, _ gate: AuditGate) throws {
    for notice in try GateCheck(gate).check(report) { StandardError.write("audit.gate passes \(notice)\n") }
  }
}

/// What `audit` shows.
struct AuditTable {
  let report: AuditReport
  let page: String

  var text: String {
    let table = TextTable(
      header: ["attack", "metric", "masked (95 %)", "unmasked", "chance", "seconds"],
      rows: report.attacks.map { result in
        [
          result.title, result.metric, cell(result, result.masked), cell(result, result.unmasked),
          result.status == .measured ? ReportNumber.text(result.masked?.chance) : "",
          QuantityText.fixed(result.seconds, 1),
        ]
      })
    var lines = report.outOfScope + [""] + table.lines + [""]
    for result in report.attacks {
      switch result.status {
      case .measured:
        let cut = result.masked?.isCutShort == true ? "Cut short: with more --minutes it may find more." : nil
        lines.append(
          ([result.title + ": " + (result.meaning ?? "")] + [cut, result.caution].compactMap { $0 })
            .joined(separator: " "))
        lines += advice(result)
      case .inapplicable: lines.append("\(result.title) does not apply: \(result.reason ?? "").")
      case .notMeasured: lines.append("\(result.title) was not measured: \(result.reason ?? "").")
      case .outOfTime: lines.append("\(result.title): no time was left; give the audit more with --minutes.")
      }
    }
    if let cost = report.noiseCostText { lines.append("cost of the noise: \(cost)") }
    if report.isViewCutShort {
      lines.append(
        "The observed run was cut short after \(report.rowsSeen) rows: every attack had fewer than it should have; give the audit more "
          + "--minutes.")
    }
    return (lines + ["", "report: \(page)"]).joined(separator: "\n")
  }

  /// What would lower it, as the command line says it; in words where nothing in a job does. The page has the reasons.
  private func advice(_ result: AttackResult) -> [String] {
    guard let advice = result.advice else { return [] }
    let changes = result.changes.map { "--set \($0)" }.joined(separator: " ")
    return ["  What would lower it: \(changes.isEmpty ? advice : changes)"]
  }

  private func cell(_ result: AttackResult, _ measurement: LeakAudit.Measurement?) -> String {
    switch result.status {
    case .measured: ReportNumber.text(measurement)
    case .inapplicable: "–"
    case .notMeasured: "not measured"
    case .outOfTime: "no time"
    }
  }
}
