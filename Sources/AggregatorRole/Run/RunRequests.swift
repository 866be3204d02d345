import Federation
import Files
import Foundation
import Foundations
import JobSpec
import Numerics
import Protocol
import SecureSums

/// What sites ask for.
extension FederationRun {
  /// A site says who it is on a connection: it is told everything that it lacks.
  ///
  /// What the first site says is what all others must say; as long as nothing was done with it, it may say something else itself.
  ///
  /// - Throws: `AggregatorError.otherIntroduction`, `.otherGroupKey`; `FixedPointError` for sizes that no sum can have; `WireError`.
  func introduce(_ introduction: SiteIntroduction, from site: Int) throws {
    guard introduction.isWellFormed else {
      throw WireError.invalidJob(
        "a model with \(introduction.entries) numbers and \(introduction.columns) columns, or digests that are none")
    }
    if let known = agenda.introduction, !isFree(for: site) {
      if let difference = introduction.difference(from: known) {
        throw AggregatorError.otherIntroduction(site: name(site), difference: difference)
      }
    } else {
      try plan.check(introduction)
    }
    if !agenda.introducedBy.contains(site) || isFree(for: site) {
      // What the site has sent of another model is no beginning of this one.
      if agenda.introduction != introduction.common { starter = nil }
      try change { agenda in
        agenda.introduction = introduction.common
        if !agenda.introducedBy.contains(site) { agenda.introducedBy.append(site) }
      }
    }
    try compareGroupKey(introduction.groupCheck, of: site)
    effects.append(.event(.siteJoined(name(site))))
    newcomers.insert(site)
    told[site] = nil
    hearers[site] = introduction.hearsAwaited == true
    toldAwaited[site] = nil
    try tellRecords(from: introduction.records, to: site)
    for purpose in plan.purposes.prefix(agenda.done) where purpose.isPooled {
      effects.append(
        .send(.sums(purpose: purpose, values: try files.readSums(of: purpose, in: agenda, plan)), to: site))
    }
    tellAgain.insert(site)
    if let result = agenda.result { effects.append(.send(.result(result), to: site)) }
  }

  /// Whether no other site has said anything of itself, and no model stands.
  private func isFree(for site: Int) -> Bool {
    agenda.introducedBy.allSatisfy { $0 == site } && agenda.models.isEmpty && agenda.done == 0 && sums.current == nil
  }

  private func tellRecords(from first: Int, to site: Int) throws {
    guard first < agenda.done else { return }
    let lines = try files.recordLines().prefix(agenda.done)
    let records = lines.compactMap(SumRecord.init(line:))
    guard records.count == agenda.done, lines.reduce(nil, Agenda.chained) == agenda.records else {
      throw AggregatorError.damaged(path: files.rounds, AggregatorError.otherContent)
    }
    for record in records.dropFirst(max(0, first)) { effects.append(.send(.recorded(record), to: site)) }
  }

  /// Changes the agenda, on disk first.
  func change(_ body: (inout Agenda) -> Void) throws {
    var changed = agenda
    body(&changed)
    try files.write(changed)
    agenda = changed
  }

  func receive(_ message: [UInt8], from site: Int) throws {
    try sums.receive(message, from: site)
    tellAgain.insert(site)
  }

  /// A piece of a model.
  ///
  /// - Throws: `AggregatorError.noSuchModel`.
  func fetch(rounds: Int, offset: Int, from site: Int) throws {
    guard agenda.models.indices.contains(rounds), let length = plan.modelLength(agenda), (0..<length).contains(offset)
    else { throw AggregatorError.noSuchModel(rounds: rounds) }
    let piece = try models.piece(rounds, from: offset, hash: agenda.models[rounds], length: length)
    effects.append(.send(.model(rounds: rounds, offset: offset, entries: piece), to: site))
  }

  /// The result is at a site.
  ///
  /// - Throws: `AggregatorError.notDone`.
  func fetched(by site: Int) throws {
    guard agenda.result != nil else { throw AggregatorError.notDone }
    if !agenda.fetched.contains(site) {
      try change { $0.fetched.append(site) }
      effects.append(.event(.fetched(site: name(site))))
    }
    effects.append(.acknowledge(site))
  }

  // MARK: - The starting model

  /// Asks the first connected site for the starting model where there is none, and the one after it when it goes or sends nothing for longer
  /// than the charter's patience; another one from the beginning, since what two sites compute may differ in a bit.
  func askForStart() throws {
    guard agenda.models.isEmpty, agenda.introduction != nil, hasGroupKey else { return }
    let sitesHere = sitesHere.filter(mayStart)
    guard let first = sitesHere.first else { return }
    var next = first
    if let starter {
      let isOverdue = starterHeard.duration(to: now) >= patience
      if isHere(starter), mayStart(starter), !isOverdue {
        guard tellAgain.contains(starter) else { return }
        next = starter
      } else {
        next = sitesHere.first { $0 > starter } ?? first
      }
    }
    if next != starter {
      try Directory.remove(files.start)
      (startHeld, startHash) = (0, ContentHash())
    }
    (starter, starterHeard) = (next, now)
    effects.append(.send(.startWanted(held: startHeld), to: next))
  }

  /// A piece of the starting model; pieces that do not begin at what is held are dropped. Every piece is answered: with all entries where nothing
  /// more of it is wanted.
  ///
  /// - Throws: `WireError` for numbers that are none, or too many; `AggregatorError.damagedStart` where those before are not what was written.
  func start(_ piece: Tensor<Float>, at offset: Int, from site: Int) throws {
    guard let introduction = agenda.introduction else { throw AggregatorError.notIntroduced }
    guard agenda.models.isEmpty else {
      effects.append(.send(.startWanted(held: introduction.entries), to: site))
      return
    }
    guard site == starter, mayStart(site) else {
      // It waits for the answer, and for nothing else: another one's model is taken. Where only its group key is in doubt it is asked again.
      if site == starter { starter = nil }
      effects.append(.send(.startWanted(held: introduction.entries), to: site))
      return
    }
    starterHeard = now
    guard piece.allFinite else { throw WireError.notFinite("the starting model") }
    if offset == startHeld {
      guard piece.count <= introduction.entries - startHeld else {
        throw WireError.misshapen("the starting model has more than \(introduction.entries) numbers")
      }
      let file = try SpoolFile(path: files.start)
      let length = startHeld * MemoryLayout<Float>.stride
      guard try file.length >= length else { throw AggregatorError.damagedStart(path: files.start) }
      try piece.withUnsafeBufferPointer { (values) throws(FileError) in
        try file.append(UnsafeRawBufferPointer(values), after: length)
      }
      piece.withUnsafeBufferPointer { startHash.update(UnsafeRawBufferPointer($0)) }
      startHeld += piece.count
    }
    if startHeld == introduction.entries { try makeStart(introduction.entries, from: site) }
    effects.append(.send(.startWanted(held: startHeld), to: site))
  }

  private func makeStart(_ entries: Int, from site: Int) throws {
    let made = try ModelStep(plan: plan, files: files, entries: entries).start(
      from: SpoolFile(reading: files.start), check: startHash.value())
    try change { agenda in
      agenda.models = [made.hash]
      agenda.groupCheck = agenda.groupChecks?["\(site)"]
    }
    models.note(0, made.pieces)
    try Directory.remove(files.start)
    effects.append(.event(.modelMade(rounds: 0, hash: made.hash, site: name(site))))
  }

  // MARK: - Uploads

  func askUpload(sum: UInt64, attempt: Int, from site: Int) throws {
    try withSpool(sum, attempt, site) { spool in
      sums.has(uploadOf: site) ? spool.entries : try spool.held(of: site)
    }
  }

  func upload(_ piece: Tensor<Int64>, at offset: Int, sum: UInt64, attempt: Int, from site: Int) throws {
    try withSpool(sum, attempt, site) { spool in
      sums.has(uploadOf: site) ? spool.entries : try spool.append(piece, at: offset, of: site)
    }
  }

  /// All of an upload is here: it counts from now on, if it is what its header says. One that is not is asked for once more, since a disk may
  /// have lost it.
  func finishUpload(_ header: [UInt8], sum: UInt64, attempt: Int, from site: Int) throws {
    try withSpool(sum, attempt, site) { spool in
      if sums.has(uploadOf: site) { return spool.entries }
      let held = try spool.held(of: site)
      guard held == spool.entries else { return held }
      try spool.complete(site, header: header)
      do {
        try add(spool, of: site)
      } catch let error where !Self.isOwn(error) {
        try spool.remove(site)
        if case AggregatorError.unwanted? = error as? AggregatorError { throw error }
        let reason = Self.text(of: error)
        guard askedAgain.insert(site).inserted else { throw AggregatorError.unwanted(reason) }
        effects.append(.event(.uploadDropped(site: name(site), reason: "\(reason); it is asked for once more")))
        return 0
      }
      // With it the sum may already be at another stage for this site.
      tellAgain.insert(site)
      return spool.entries
    }
  }

  func add(_ spool: UploadSpool, of site: Int) throws {
    let vector = try spool.vector(of: site)
    let header = try spool.header(of: site)
    try vector.withUnsafeBufferPointer { try sums.receive(upload: header, vector: $0, from: site) }
  }

  /// Answers with how many entries are held, or that the upload is not wanted.
  private func withSpool(
    _ sum: UInt64, _ attempt: Int, _ site: Int, _ body: (UploadSpool) throws -> Int
  ) throws {
    do {
      guard let spool = try currentSpool(), spool.sum == sum, spool.attempt == attempt,
        sums.current?.cohort.contains(site) == true
      else { throw AggregatorError.unwanted("it is of another sum than the one under way") }
      guard sums.wants(uploadOf: site) || sums.has(uploadOf: site) else {
        throw AggregatorError.unwanted(PlainSums.tooLate)
      }
      let held = try body(spool)
      effects.append(.send(.uploadHeld(sum: sum, attempt: attempt, entries: held), to: site))
    } catch AggregatorError.unwanted(let reason) {
      effects.append(.event(.uploadDropped(site: name(site), reason: reason)))
      effects.append(.send(.uploadUnwanted(sum: sum, attempt: attempt, reason: reason), to: site))
    }
  }

  /// Of the sum under way; nil when there is none.
  func currentSpool() throws -> UploadSpool? {
    guard let task = sums.current, let format = try format(of: task.purpose) else { return nil }
    return UploadSpool(files, sum: task.sum, attempt: task.attempt, entries: format.count)
  }

  func format(of purpose: String) throws -> VectorFormat? {
    guard let introduction = agenda.introduction, let purpose = SumPurpose(purpose) else { return nil }
    return try plan.format(of: purpose, entries: introduction.entries, columns: introduction.columns)
  }
}
