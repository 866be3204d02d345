import Cryptography

/// One sum: upload, survivors, shares.
extension SumParty {
  /// Request → the vector, or nothing when this site is not asked.
  func accept(_ message: [UInt8]) throws(SumError) -> Answer {
    let request = try SignedRequest.read(message, roster)
    try check(request)
    accepted = request
    return request.request.cohort.contains(site) ? .upload(request.request) : .nothing
  }

  /// Masks the vector in place and gives the message that goes with it.
  ///
  /// Called again for the same request, as after a restart, it needs the same values: two vectors under one mask would give away their
  /// difference. Keep the vector, or whatever makes it anew to the bit.
  ///
  /// - Parameters:
  ///   - request: of the last `.upload`.
  ///   - modelHash: the model that the values belong to, as this site knows it.
  ///   - format: of the vector, as this site has it from the charter.
  ///   - vector: in the clear before, masked after; in the clear again when it throws.
  /// - Throws: `.otherModel`, `.otherFormat` when the request asks for something else; `.otherValues`; `.misuse` for a request that was not
  ///   accepted or a vector of another length; `.storage`.
  package func upload(
    for request: SumRequest, modelHash: [UInt8], format: VectorFormat, masking vector: inout [UInt64]
  ) throws(SumError) -> [UInt8] {
    guard let accepted, accepted.request == request, request.cohort.contains(site) else {
      throw .misuse("an upload that was not asked for")
    }
    guard request.modelHash == modelHash else { throw .otherModel }
    guard request.formatDigest == format.digest else { throw .otherFormat }
    guard vector.count == format.count else {
      throw .misuse("a vector of \(vector.count) entries, expected \(format.count)")
    }
    // Something else may have been signed since it was accepted.
    try check(accepted)
    let known = state.sum.flatMap { $0.request.request == request ? $0 : nil }
    guard known?.survivors == nil || known?.vectorDigest != nil else {
      throw .late(site: roster.name(site))
    }
    guard let setUp = state.setUp else { throw .noKeys }
    var masks = try masks(for: accepted, setUp)
    masks.apply(to: &vector)
    do throws(SumError) {
      let upload = UploadMessage(
        vectorDigest: VectorDigest.bytes(of: vector), site: site, request: request, roster, signing: setUp.signing)
      if let before = known?.vectorDigest {
        guard before == upload.vectorDigest else { throw .otherValues(sum: request.sum) }
      } else {
        var next = begin(accepted)
        next.sum?.vectorDigest = upload.vectorDigest
        try commit(next)
      }
      return upload.message(request, setUp: accepted.setUp, roster)
    } catch {
      masks.reverse()
      masks.apply(to: &vector)
      throw error
    }
  }

  /// Survivors → signature.
  func sign(_ message: [UInt8]) throws(SumError) -> [UInt8] {
    let survivors = try SurvivorList.read(message, roster)
    try check(survivors.request)
    guard let setUp = state.setUp else { throw .noKeys }
    let request = survivors.request.request
    let known = state.sum.flatMap { $0.request.request == request ? $0 : nil }
    guard survivors.sites.allSatisfy(request.cohort.contains) else {
      throw .survivors("a site that is not in the cohort")
    }
    guard survivors.uploads.count >= roster.minimum else {
      throw .survivors("\(survivors.uploads.count) sites, expected at least \(roster.minimum)")
    }
    for entry in survivors.uploads {
      guard let member = setUp.member(entry.site),
        entry.upload.isSigned(by: member.signingKey, site: entry.site, request: request, roster)
      else { throw .survivors("\(roster.name(entry.site)) has not signed the upload that it is listed with") }
      if entry.site == site, known?.vectorDigest != entry.upload.vectorDigest {
        throw .survivors("this site has not sent the upload that it is listed with")
      }
    }
    if let signed = known?.survivors {
      guard signed.digest == survivors.digest else { throw .otherSurvivors(sum: request.sum) }
    } else {
      var next = known == nil ? begin(survivors.request) : state
      next.sum?.survivors = survivors
      try commit(next)
    }
    let signature = setUp.signing.sign(SurvivorList.statement(survivors.digest, roster))
    return SignatureMessage.message(signature, survivors: survivors.digest, setUp: survivors.request.setUp, roster)
  }

  /// Enough signatures → shares: of a site's seed when it is among the survivors, of its key when it is not.
  func give(_ message: [UInt8]) throws(SumError) -> [UInt8] {
    guard let setUp = state.setUp, let held = setUp.held, let sum = state.sum, let survivors = sum.survivors,
      let place = setUp.terms.place(of: sum.request.request.sum)
    else { throw .outOfOrder("signatures of survivors that this site has not signed") }
    let given = try SignaturesMessage(message, setUp: setUp.terms.number, roster)
    guard given.survivors == survivors.digest else { throw .otherSurvivors(sum: sum.request.request.sum) }
    let statement = SurvivorList.statement(survivors.digest, roster)
    for (signer, signature) in given.signatures {
      guard let member = setUp.member(signer), Signing.verify(signature, of: statement, by: member.signingKey) else {
        throw .signatures("the signature of \(roster.name(signer)) is not its own")
      }
    }
    guard given.signatures.count >= roster.threshold else {
      throw .signatures("\(given.signatures.count) signatures, expected at least \(roster.threshold)")
    }
    let inSum = Set(survivors.sites)
    var shares: [(site: Int, value: [UInt8])] = []
    for other in sum.request.request.cohort {
      let start = inSum.contains(other) ? 0 : SecretSharing.shareByteCount
      guard let share = held[other]?.secret(at: place, start..<start + SecretSharing.shareByteCount) else {
        throw .replayed("shares of \(roster.name(other)) that were erased")
      }
      shares.append((other, share.withUnsafeBytes { Array($0) }))
    }
    if !sum.isGiven {
      var next = state
      next.sum?.isGiven = true
      next.purposes.give(sum.request.request.purpose)
      try commit(next)
    }
    return GivenMessage.message(shares, survivors: survivors.digest, setUp: setUp.terms.number, roster)
  }

  /// Whether this site may take part: the request that it knows, or a new one with keys that nothing has used.
  private func check(_ request: SignedRequest) throws(SumError) {
    guard let setUp = state.setUp, setUp.held != nil else {
      throw .outOfOrder("a request, but this site holds no shares of a set-up")
    }
    try request.check(terms: setUp.terms, setUpDigest: setUp.digest, dealers: setUp.dealers, roster)
    if let known = state.sum?.request.request {
      guard known != request.request else { return }
      guard known.sum != request.request.sum else { throw .otherRequest(sum: known.sum) }
      guard request.request.sum > known.sum else {
        throw .replayed("sum \(request.request.sum), this site has been at \(known.sum)")
      }
    }
    let purpose = request.request.purpose
    guard !state.purposes.isGiven(purpose) else { throw .alreadyGiven(purpose: purpose) }
    guard request.request.attempt > state.purposes.attempt(of: purpose) else {
      throw .replayed(
        "attempt \(request.request.attempt) at \(purpose), the last one here was \(state.purposes.attempt(of: purpose))"
      )
    }
  }

  /// The state with a new sum under way, the keys of all before erased.
  private func begin(_ request: SignedRequest) -> PartyState {
    var next = state
    next.setUp?.forget(before: request.request.sum)
    next.purposes.begin(request.request.purpose, attempt: request.request.attempt)
    next.sum = PartySum(request: request)
    return next
  }

  /// The seed's own mask, and one with every other site of the cohort, which cancels in the sum.
  private func masks(for request: SignedRequest, _ setUp: PartySetUp) throws(SumError) -> SumMasks {
    guard let place = setUp.terms.place(of: request.request.sum) else { throw .noKeys }
    let own = try PartySetUp.ephemeralKey(setUp.secrets, at: place)
    let label = request.maskLabel(roster)
    var masks = SumMasks()
    masks.append(try PartySetUp.seed(setUp.secrets, at: place), .add)
    for other in request.request.cohort where other != site {
      guard let member = setUp.member(other) else { throw .cohort("\(roster.name(other)) has no keys") }
      do {
        masks.append(
          try label.pairKey(own: own, publicKey: member.publicKey(at: place), sites: (site, other)),
          .between(site, other))
      } catch { throw .notAuthentic("the key of \(roster.name(other)) for this sum: \(error)") }
    }
    return masks
  }
}
