import Federation
import Files
import Foundation
import Foundations
import JobSpec
import Models
import Numerics
import SecureSums

/// From one sum to the next.
extension FederationRun {
  /// Does everything that can be done now.
  func advance() throws {
    while true {
      try addMissingVectors()
      if sums.stage == .complete, sums.vectorsMissing.isEmpty {
        try complete()
      } else if try sums.stage != .idle || !beginNext() {
        break
      }
    }
    if sums.stage == .complete {
      obstacle =
        "the upload of \(AwaitedSites(sums.vectorsMissing).text(name)) is gone here, and is needed again: the sum "
        + "cannot go on without it"
    }
    try askForStart()
  }

  /// Adds uploads of the files that a process before this one was given; where a file is gone or spoilt the site is asked again.
  private func addMissingVectors() throws {
    let missing = sums.vectorsMissing
    guard !missing.isEmpty, let spool = try currentSpool() else { return }
    for site in missing where try spool.held(of: site) == spool.entries {
      do {
        try add(spool, of: site)
      } catch let error where !Self.isOwn(error) {
        try spool.remove(site)
        effects.append(
          .event(
            .uploadDropped(
              site: name(site), reason: "its file has altered since it came; it is asked for once more")))
        tellAgain.insert(site)
      }
    }
  }

  // MARK: - Beginning

  /// - Returns: whether something was begun.
  private func beginNext() throws -> Bool {
    (obstacle, missing) = (nil, [])
    guard agenda.result == nil, let introduction = agenda.introduction, let purpose = agenda.nextPurpose(of: plan)
    else { return false }
    let ready = Set(sums.readySites)
    // Who has come since the keys were set up, and has none, gets them now.
    if sums.sumsLeft == 0 || newcomers.contains(where: { isHere($0) && !ready.contains($0) }) { return try setUp() }
    if let model = purpose.model, !agenda.models.indices.contains(model) {
      obstacle = sitesHere.isEmpty ? "waiting for a site with the starting model" : groupKeyObstacle
      missing = groupKeyObstacle != nil ? presence.indices.filter { !isHere($0) } : starter.map { [$0] } ?? []
      return false
    }
    let asked = plan.cohort(for: purpose)
    let cohort = asked.filter { ready.contains($0) && !isGone($0) }
    let minimum = plan.charter.federation.participation.minimum
    guard cohort.count >= minimum else {
      missing = asked.filter { !cohort.contains($0) }
      obstacle =
        "waiting for \(AwaitedSites(missing).text(name)): \(purpose) needs \(minimum) sites, \(cohort.count) are here"
      return false
    }
    let format = try plan.format(of: purpose, entries: introduction.entries, columns: introduction.columns)
    let model = purpose.model.flatMap { [UInt8](hexadecimal: agenda.models[$0]) } ?? FederationPlan.noModel
    let subject = try plan.subject(of: purpose, model: model) { try files.readSums(of: $0, in: agenda, plan).elements }
    try sums.begin(purpose, modelHash: subject, cohort: cohort, format: format)
    (sumBegan, askedAgain) = (now, [])
    effects.append(.event(.sumBegan(purpose: purpose.description, cohort: cohort.map(name))))
    return true
  }

  private func setUp() throws -> Bool {
    // What set-ups leave at the sites and here grows with the square of the sites.
    let sites = plan.charter.sites.count
    let left = agenda.purposes(of: plan).count - agenda.done
    let count = max(1, min(left, mostSums, (32 << 20) / (sites * sites * 128)))
    try sums.prepare(sums: count)
    newcomers = []
    effects.append(.event(.settingUp(sums: count)))
    return true
  }

  /// Goes on without sites that are missing for longer than the charter's patience. A site that is here and at work is waited for; one that is
  /// here and owes a short answer is not.
  func proceedIfOverdue() throws {
    guard sums.stage != .idle, sums.stage != .complete else { return }
    let missing = sums.waitingFor
    let isStageOld = sums.stage != .uploading && stageSince.duration(to: now) >= patience
    guard !missing.isEmpty, isStageOld || missing.allSatisfy(isGone) else {
      obstacle = nil
      return
    }
    let purpose = sums.current?.purpose ?? sums.stage.rawValue
    if let reason = try sums.proceed() {
      obstacle = "waiting for \(AwaitedSites(missing).text(name)): \(purpose): \(reason)"
    } else {
      obstacle = nil
      effects.append(.event(.goingOn(purpose: purpose, without: missing.map(name))))
    }
  }

  // MARK: - Completing

  /// Takes the sum, stores what comes of it, tells the sites, and only then has done with it.
  private func complete() throws {
    obstacle = nil
    let done = sums.current.flatMap { SumPurpose($0.purpose) }
    if let purpose = agenda.nextPurpose(of: plan), purpose == done, let introduction = agenda.introduction {
      let result = try sums.result()
      let format = try plan.format(of: purpose, entries: introduction.entries, columns: introduction.columns)
      try store(result, of: purpose, format, introduction)
    }
    // Otherwise it was stored before this process was started.
    try sums.finish()
    try UploadSpool.removeAll(in: files, but: nil)
    if case .update(let round)? = done, plan.rule.memoryVectors > 0 { try Directory.remove(files.memory(round)) }
  }

  private func store(
    _ result: SummationResult, of purpose: SumPurpose, _ format: VectorFormat, _ introduction: SiteIntroduction
  ) throws {
    var record = SumRecord(
      purpose: purpose, sum: result.task.sum, attempt: result.task.attempt, cohort: result.task.cohort.map(name),
      survivors: result.survivors.map(name), seconds: sumBegan.duration(to: now) / .seconds(1))
    var next = agenda
    var values: [Double]?
    switch purpose {
    case .means, .deviations:
      let columns = try format.decode(result.vector, block: VectorBlock.columns)
      record.trainingRows = try format.decodeIntegers(result.vector, block: VectorBlock.rows).first ?? 0
      values = columns + [Double(record.trainingRows)]
    case .classCounts:
      let counts = try format.decodeIntegers(result.vector, block: VectorBlock.classes)
      record.trainingRows = counts.reduce(0, &+)
      values = counts.map(Double.init)
    case .update(let round):
      if plan.hasStatistics {
        note(try SiteStatistics(sum: result.vector, format: format, task: plan.charter.task), of: round, &record, &next)
      } else {
        // Sites then count alike, and who is in the sum is public.
        record.weight = result.survivors.count
      }
      let made = try step(round, result, format, introduction, weight: record.weight)
      record.model = made.hash
      next.models.append(made.hash)
      next.checks = next.checks?.filter { !$0.key.hasPrefix("memory-") }
      if let memory = made.memory { next.checks = adding(memory, as: files.memoryName(round + 1), to: next.checks) }
      if round + 1 < plan.charter.federation.rounds, next.isStalled(after: round, in: plan) {
        next.lastRound = round + 1
      }
    case .evaluation(let rounds):
      note(try SiteStatistics(sum: result.vector, format: format, task: plan.charter.task), of: rounds, &record, &next)
    }
    if let values {
      next.checks = adding(try files.writeSums(values, of: purpose), as: files.name(purpose), to: next.checks)
    }
    next.records = Agenda.chained(agenda.records, record.line)
    next.done += 1
    if next.nextPurpose(of: plan) == nil { next.result = next.outcome(of: plan) }
    try write(record)
    try files.write(next)
    agenda = next
    tell(record, values, of: purpose)
  }

  private func adding(_ check: String, as name: String, to checks: [String: String]?) -> [String: String] {
    (checks ?? [:]).merging([name: check], uniquingKeysWith: { _, new in new })
  }

  private func step(
    _ round: Int, _ result: SummationResult, _ format: VectorFormat, _ introduction: SiteIntroduction, weight: Int
  ) throws -> WrittenModel {
    let length = plan.modelLength(entries: introduction.entries)
    let made = try ModelStep(plan: plan, files: files, entries: introduction.entries).advance(
      round: round, vector: result.vector, format: format, weight: weight,
      from: try models.check(round, hash: agenda.models[round], length: length),
      memory: agenda.checks?[files.memoryName(round)])
    models.note(round + 1, made.pieces)
    return made
  }

  private func note(
    _ statistics: SiteStatistics, of model: Int, _ record: inout SumRecord, _ agenda: inout Agenda
  ) {
    record.weight = statistics.weight
    record.trainingRows = statistics.trainingRows
    record.validationRows = statistics.validationRows
    record.means = statistics.means(task: plan.charter.task)
    let metric = SiteStatistics.metricNames(plan.charter.task).first
    agenda.note(score: metric.flatMap { record.means[$0] }, ofModel: model)
  }

  /// A line that an attempt before this one has left is written over.
  private func write(_ record: SumRecord) throws {
    if log.lineCount > agenda.done { try log.truncate(toLines: agenda.done) }
    try log.append(record.line)
    try log.sync()
  }

  private func tell(_ record: SumRecord, _ values: [Double]?, of purpose: SumPurpose) {
    effects.append(.event(.sumDone(record)))
    if case .update(let round) = purpose {
      effects.append(.event(.modelMade(rounds: round + 1, hash: record.model, site: nil)))
    }
    if let result = agenda.result { effects.append(.event(.result(result))) }
    for site in sitesHere {
      if let values {
        effects.append(.send(.sums(purpose: purpose, values: Tensor(values, shape: [values.count])), to: site))
      }
      effects.append(.send(.recorded(record), to: site))
      if let result = agenda.result { effects.append(.send(.result(result), to: site)) }
    }
  }
}
