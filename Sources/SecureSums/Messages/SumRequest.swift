import Cryptography

/// What the aggregator asks for in one sum, signed by it.
package struct SumRequest: Sendable, Equatable {
  /// The sum's number: which keys it uses. No two requests have the same.
  package let sum: UInt64
  /// How often this purpose was begun, from 1.
  package let attempt: Int
  /// What is summed, such as "update 3": 1 to 80 printable bytes, another for every thing that is summed.
  package let purpose: String
  /// SHA-256 of the model that the values belong to; 32 bytes.
  package let modelHash: [UInt8]
  /// `VectorFormat.digest`.
  package let formatDigest: [UInt8]
  /// Numbers of the sites that are asked, in the order of the charter.
  package let cohort: [Int]
  /// SHA-256 of all of it, with charter and set-up.
  package let digest: [UInt8]

  static let attempts = 1...1_000_000
}

/// A request as it travels: the aggregator to the sites, alone or within a list of survivors.
struct SignedRequest: Equatable {
  let setUp: UInt32
  let setUpDigest: [UInt8]
  let request: SumRequest
  let signature: [UInt8]

  init(
    sum: UInt64, attempt: Int, purpose: String, modelHash: [UInt8], formatDigest: [UInt8], cohort: [Int],
    setUp: UInt32, setUpDigest: [UInt8], _ roster: SumRoster, signing: Signing
  ) {
    let content = Self.content(
      sum, attempt, purpose, modelHash, formatDigest, cohort, setUp: setUp, setUpDigest: setUpDigest, roster)
    self.setUp = setUp
    self.setUpDigest = setUpDigest
    request = SumRequest(
      sum: sum, attempt: attempt, purpose: purpose, modelHash: modelHash, formatDigest: formatDigest, cohort: cohort,
      digest: SHA256.hash(content).bytes)
    signature = signing.sign(content)
  }

  /// Nothing is verified yet.
  init(from reader: inout ByteReader, setUp: UInt32, _ roster: SumRoster) throws(SumError) {
    self.setUp = setUp
    setUpDigest = try reader.bytes32()
    let sum = try reader.integer(UInt64.self)
    guard sum <= SetUpTerms.lastSum + UInt64(SetUpTerms.counts.upperBound) else {
      throw .malformed("a sum that cannot be")
    }
    let attempt = try reader.count(SumRequest.attempts, "as an attempt")
    let purpose = try reader.text("a purpose")
    let modelHash = try reader.bytes32()
    let formatDigest = try reader.bytes32()
    let cohort = try reader.sites(roster)
    signature = try reader.bytes(Signing.signatureByteCount)
    let content = Self.content(
      sum, attempt, purpose, modelHash, formatDigest, cohort, setUp: setUp, setUpDigest: setUpDigest, roster)
    request = SumRequest(
      sum: sum, attempt: attempt, purpose: purpose, modelHash: modelHash, formatDigest: formatDigest, cohort: cohort,
      digest: SHA256.hash(content).bytes)
  }

  func write(to writer: inout ByteWriter) {
    writer.write(setUpDigest)
    Self.write(
      request.sum, request.attempt, request.purpose, request.modelHash, request.formatDigest, request.cohort, &writer)
    writer.write(signature)
  }

  func message(_ roster: SumRoster) -> [UInt8] {
    MessageHeader.message(.request, roster, setUp: setUp) { write(to: &$0) }
  }

  static func read(_ message: [UInt8], _ roster: SumRoster) throws(SumError) -> SignedRequest {
    try MessageHeader.read(.request, message, roster) { (setUp, reader) throws(SumError) in
      try SignedRequest(from: &reader, setUp: setUp, roster)
    }
  }

  /// - Throws: `.outOfOrder` for another set-up; `.inconsistent` for another view of it; `.notAuthentic`; `.replayed` for a sum that has no
  ///   keys of the set-up; `.cohort` for too few sites or some without keys.
  func check(terms: SetUpTerms, setUpDigest: [UInt8], dealers: [Int], _ roster: SumRoster) throws(SumError) {
    guard setUp == terms.number else {
      throw .outOfOrder("a request under set-up \(setUp), this is set-up \(terms.number)")
    }
    guard self.setUpDigest == setUpDigest else { throw .inconsistent("a request with other keys of set-up \(setUp)") }
    let content = Self.content(
      request.sum, request.attempt, request.purpose, request.modelHash, request.formatDigest, request.cohort,
      setUp: setUp, setUpDigest: setUpDigest, roster)
    guard Signing.verify(signature, of: content, by: terms.aggregatorKey) else {
      throw .notAuthentic("a request that the aggregator has not signed")
    }
    guard terms.sums.contains(request.sum) else {
      throw .replayed(
        "sum \(request.sum), set-up \(setUp) has keys for \(terms.sums.lowerBound) to \(terms.sums.upperBound - 1)")
    }
    guard request.cohort.count >= roster.minimum else {
      throw .cohort("\(request.cohort.count) sites, expected at least \(roster.minimum)")
    }
    guard request.cohort.allSatisfy(dealers.contains) else { throw .cohort("a site without shared keys is in it") }
  }

  /// Of the masks' keys.
  func maskLabel(_ roster: SumRoster) -> SumMaskLabel {
    SumMaskLabel(
      charterDigest: roster.charterDigest, sum: request.sum, attempt: UInt32(clamping: request.attempt),
      cohortDigest: SHA256.hash(ByteWriter.message { $0.write(sites: request.cohort) }).bytes)
  }

  private static func write(
    _ sum: UInt64, _ attempt: Int, _ purpose: String, _ modelHash: [UInt8], _ formatDigest: [UInt8], _ cohort: [Int],
    _ writer: inout ByteWriter
  ) {
    writer.write(sum)
    writer.write(UInt32(clamping: attempt))
    writer.write(text: purpose)
    writer.write(modelHash)
    writer.write(formatDigest)
    writer.write(sites: cohort)
  }

  private static func content(
    _ sum: UInt64, _ attempt: Int, _ purpose: String, _ modelHash: [UInt8], _ formatDigest: [UInt8], _ cohort: [Int],
    setUp: UInt32, setUpDigest: [UInt8], _ roster: SumRoster
  ) -> [UInt8] {
    Statement.bytes("request", roster) { writer in
      writer.write(setUp)
      writer.write(setUpDigest)
      write(sum, attempt, purpose, modelHash, formatDigest, cohort, &writer)
    }
  }
}
