import Cryptography

/// One sum: uploads, survivors, signatures, shares.
extension SumCoordinator {
  /// Begins a sum with the next keys.
  ///
  /// - Parameters:
  ///   - purpose: what is summed, such as "update 3": 1 to 80 printable bytes, another for every thing.
  ///   - modelHash: 32 bytes.
  ///   - cohort: who is asked; at least the minimum, of `setUpSites`.
  /// - Throws: `.misuse` unless idle, and for a purpose that was finished or is none; `.noKeys`; `.cohort`; `.storage`.
  package func begin(
    purpose: String, modelHash: [UInt8], cohort: [Int], format: VectorFormat
  ) throws(SumError) -> SumRequest {
    guard stage == .idle else { throw .misuse("a sum while another stage is under way") }
    guard let setUp = state.setUp, keysLeft > 0 else { throw .noKeys }
    guard modelHash.count == 32 else { throw .misuse("a model's hash has 32 bytes") }
    guard SumLimits.isText(purpose) else { throw .misuse("a purpose has 1 to 80 printable bytes") }
    guard !state.purposes.isGiven(purpose) else { throw .misuse("\(purpose) was summed already") }
    let attempt = state.purposes.attempt(of: purpose) + 1
    guard SumRequest.attempts.contains(attempt) else { throw .misuse("too many attempts at \(purpose)") }
    let cohort = Set(cohort).sorted()
    let request = SignedRequest(
      sum: setUp.nextSum, attempt: attempt, purpose: purpose, modelHash: modelHash, formatDigest: format.digest,
      cohort: cohort, setUp: setUp.terms.number, setUpDigest: setUp.digest, roster, signing: state.signing)
    try request.check(terms: setUp.terms, setUpDigest: setUp.digest, dealers: setUp.dealers.sorted(), roster)
    var next = state
    next.setUp?.nextSum += 1
    next.purposes.begin(purpose, attempt: attempt)
    next.sum = CoordinatorSum(request: request, count: format.count)
    try commit(next)
    dropVectors()
    return request.request
  }

  /// Gives up the sum under way, so that its purpose can be begun again with the next keys.
  ///
  /// - Throws: `.mustBeFinished` once signatures were handed out, since a share may have been given; `.storage`.
  package func abandon() throws(SumError) {
    guard let sum = state.sum else { return }
    guard !sum.isReleased else { throw .mustBeFinished(sum: sum.request.request.sum) }
    var next = state
    next.sum = nil
    try commit(next)
    dropVectors()
  }

  func sumMessage(_ setUp: CoordinatorSetUp, to site: Int) -> [UInt8]? {
    guard let sum = state.sum, setUp.holders.contains(site) else { return nil }
    // A vector that this process has not been given is asked for again.
    let isAsked = sum.survivors == nil ? sum.request.request.cohort.contains(site) : sum.uploads[site] != nil
    if isAsked, !added.contains(site) { return sum.request.message(roster) }
    guard let survivors = sum.survivors else { return nil }
    if sum.signatures[site] == nil, sum.given[site] == nil { return survivors.message(roster) }
    guard sum.isReleased, sum.given[site] == nil else { return nil }
    let signatures = sum.signatures.sorted { $0.key < $1.key }.prefix(roster.threshold)
    return SignaturesMessage.message(
      signatures.map { (site: $0.key, value: $0.value) }, survivors: survivors.digest, setUp: setUp.terms.number, roster
    )
  }

  /// A whole upload: what `SumParty.upload` gave, and the masked vector. After a restart the same call adds again what `vectorsMissing` names.
  ///
  /// - Parameter site: proven by its connection.
  /// - Throws: `.late` when the survivors are declared without it; `.outOfOrder` when nothing is asked of it; `.notAuthentic`; `.malformed` for
  ///   a vector of another length or digest; `.inconsistent` for another vector than before; `.storage`. Nothing is added then.
  package func receive(
    upload message: [UInt8], vector: UnsafeBufferPointer<UInt64>, from site: Int
  ) throws(SumError) {
    guard let sum = state.sum, sum.request.request.cohort.contains(site) else {
      throw .outOfOrder("an upload of \(roster.name(site)), which was not asked for one")
    }
    let upload = try UploadMessage.read(message, request: sum.request, roster)
    guard sum.survivors == nil || sum.uploads[site] != nil else { throw .late(site: roster.name(site)) }
    guard vector.count == sum.count else {
      throw .malformed("a vector of \(vector.count) entries, expected \(sum.count)")
    }
    guard let member = state.setUp?.members[site]?.announcement,
      upload.isSigned(by: member.signingKey, site: site, request: sum.request.request, roster)
    else { throw .notAuthentic("an upload that \(roster.name(site)) has not signed") }
    if let before = sum.uploads[site] {
      guard before.vectorDigest == upload.vectorDigest else {
        throw .inconsistent("\(roster.name(site)) has sent two vectors for one sum")
      }
      guard !added.contains(site) else { return }
    }
    guard VectorDigest.bytes(vector) == upload.vectorDigest else {
      throw .malformed("the vector of \(roster.name(site)) was altered on the way")
    }
    if sum.uploads[site] == nil {
      var next = state
      next.sum?.uploads[site] = upload
      try commit(next)
    }
    add(vector, of: site)
    if stage == .uploading, waitingFor.isEmpty { try closeUploads() }
  }

  /// Uploads that are on record and whose vectors this process was not given: from the caller's files, or from the sites, which `messageDue` asks.
  package var vectorsMissing: [Int] {
    state.sum.map { $0.uploads.keys.filter { !added.contains($0) }.sorted() } ?? []
  }

  func closeUploads() throws(SumError) {
    guard let sum = state.sum else { return }
    var next = state
    next.sum?.survivors = SurvivorList(
      request: sum.request,
      uploads: sum.uploads.sorted { $0.key < $1.key }.map { SurvivorList.Entry(site: $0.key, upload: $0.value) }, roster
    )
    try commit(next)
  }

  func receiveSignature(_ message: [UInt8], from site: Int) throws(SumError) {
    guard let sum = state.sum, let survivors = sum.survivors, sum.signatures[site] == nil,
      let member = state.setUp?.members[site]?.announcement
    else { return }
    let signature = try SignatureMessage.read(message, survivors: survivors, roster)
    guard
      Signing.verify(signature, of: SurvivorList.statement(survivors.digest, roster), by: member.signingKey)
    else { throw .notAuthentic("a signature that is not \(roster.name(site))'s") }
    var next = state
    next.sum?.signatures[site] = signature
    remember(next)
    if stage == .signing, answered.count >= roster.threshold { try release() }
  }

  /// From here on the sum must be finished: a site that sees the signatures may give its shares.
  func release() throws(SumError) {
    var next = state
    next.sum?.isReleased = true
    try commit(next)
  }

  func receiveGiven(_ message: [UInt8], from site: Int) throws(SumError) {
    guard let sum = state.sum, sum.isReleased, let survivors = sum.survivors, sum.given[site] == nil,
      state.setUp?.holders.contains(site) == true
    else { return }
    var next = state
    next.sum?.given[site] = try GivenMessage.read(message, survivors: survivors, roster)
    remember(next)
    if stage == .unmasking, answered.count >= roster.threshold { try closeGiving() }
  }

  func closeGiving() throws(SumError) {
    var next = state
    next.sum?.isUnmaskable = true
    try commit(next)
  }

  /// The result is stored: the sum is over, its purpose done.
  ///
  /// - Throws: `.misuse` unless `unmaskable`; `.storage`.
  package func finish() throws(SumError) {
    guard stage == .unmaskable, let sum = state.sum else { throw .misuse("a sum that is not unmasked") }
    var next = state
    next.purposes.give(sum.request.request.purpose)
    next.sum = nil
    try commit(next)
    dropVectors()
  }

  private func add(_ vector: UnsafeBufferPointer<UInt64>, of site: Int) {
    if total.isEmpty {
      total = Array(vector)
    } else {
      total.withUnsafeMutableBufferPointer { total in
        for index in total.indices { total[index] &+= vector[index] }
      }
    }
    added.insert(site)
  }

  private func dropVectors() {
    total = []
    added = []
  }
}
