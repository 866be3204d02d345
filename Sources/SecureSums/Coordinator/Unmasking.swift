import Cryptography

/// What a secure sum gives.
package struct SumResult: Sendable, Equatable {
  package let request: SumRequest
  /// Whose vectors are in it, in the order of the charter.
  package let sites: [Int]
  /// Modulo 2⁶⁴, in the request's format.
  package let vector: [UInt64]
}

extension SumCoordinator {
  /// Rebuilds the secrets, checks each against what its site is committed to, and takes the masks away: one keystream for every site in
  /// the sum, and one for every pair of a site in it and one that dropped out. The state stays as it is: store the result, then `finish`.
  ///
  /// - Throws: `.misuse` unless `unmaskable`; `.vectorsMissing` after a restart; `.wrongShares` when no choice of shares gives the secrets: more
  ///   sites may still give theirs.
  package func result() throws(SumError) -> SumResult {
    guard stage == .unmaskable, let sum = state.sum, let survivors = sum.survivors, let setUp = state.setUp,
      let place = setUp.terms.place(of: sum.request.request.sum)
    else { throw .misuse("a sum that is not unmaskable") }
    guard vectorsMissing.isEmpty else { throw .vectorsMissing(roster.names(vectorsMissing)) }
    let secrets = try rebuilt(sum, survivors, setUp, place)
    let label = sum.request.maskLabel(roster)
    var masks = SumMasks()
    for site in survivors.sites {
      if let seed = secrets[site] { masks.append(seed, .subtract) }
    }
    for dropped in sum.request.request.cohort where !survivors.sites.contains(dropped) {
      guard let secret = secrets[dropped] else { continue }
      for site in survivors.sites {
        guard let publicKey = setUp.members[site]?.announcement.publicKey(at: place) else { continue }
        do {
          let own = try secret.withUnsafeBytes { try KeyAgreement(secret: $0) }
          masks.append(
            try label.pairKey(own: own, publicKey: publicKey, sites: (dropped, site)),
            SumMasks.Direction.between(site, dropped).opposite)
        } catch { throw .notAuthentic("the key of \(roster.name(site)) for this sum: \(error)") }
      }
    }
    var vector = total
    masks.apply(to: &vector)
    return SumResult(request: sum.request.request, sites: survivors.sites, vector: vector)
  }

  /// By site: the seed of one in the sum, the key of one that dropped out. Tries other holders' shares when the first give something else, so
  /// that a holder whose shares are wrong does not stop the sum.
  private func rebuilt(
    _ sum: CoordinatorSum, _ survivors: SurvivorList, _ setUp: CoordinatorSetUp, _ place: Int
  ) throws(SumError) -> [Int: SecretBuffer] {
    let givers = sum.given.keys.sorted()
    var secrets: [Int: SecretBuffer] = [:]
    var rejected: [Int] = []
    for (index, site) in sum.request.request.cohort.enumerated() {
      guard let member = setUp.members[site]?.announcement else { continue }
      let isInSum = survivors.sites.contains(site)
      let expected = isInSum ? member.commitment(at: place) : member.publicKey(at: place)
      /// The secret of these holders' shares, if it is the one.
      func secret(of holders: [Int]) -> SecretBuffer? {
        let shares = holders.compactMap { holder in
          sum.given[holder].map { (holder: holder, bytes: $0[index].value) }
        }
        guard
          let secret = try? SecretSharing.rebuild(
            shares, threshold: roster.threshold, holders: roster.sites.count)
        else { return nil }
        let found =
          isInSum
          ? PartySetUp.commitment(to: secret)
          : (try? secret.withUnsafeBytes { try KeyAgreement(secret: $0) })?.publicKey
        return found == expected ? secret : nil
      }
      // Those who gave a wrong share before come last.
      let ordered = givers.filter { !rejected.contains($0) } + rejected
      if let secret = secret(of: ordered) {
        secrets[site] = secret
        continue
      }
      // One more than the threshold finds one wrong holder.
      let wrong = ordered.prefix(roster.threshold).first { suspect in
        secret(of: ordered.filter { $0 != suspect }) != nil
      }
      guard let wrong, let secret = secret(of: ordered.filter { $0 != wrong }) else {
        throw .wrongShares("\(isInSum ? "the seed" : "the key") of \(roster.name(site)), from \(roster.names(givers))")
      }
      rejected.append(wrong)
      secrets[site] = secret
    }
    return secrets
  }
}

/// SHA-256 of a vector's bytes, little-endian.
enum VectorDigest {
  static func bytes(_ vector: UnsafeBufferPointer<UInt64>) -> [UInt8] {
    var hash = SHA256()
    // The processors this runs on are little-endian.
    hash.update(UnsafeRawBufferPointer(vector))
    return hash.finalize().bytes
  }

  static func bytes(of vector: [UInt64]) -> [UInt8] {
    vector.withUnsafeBufferPointer { bytes($0) }
  }
}
