import Cryptography

/// Site to aggregator, in front of a masked vector: its digest, signed together with what was asked for.
struct UploadMessage: Equatable {
  let vectorDigest: [UInt8]
  let signature: [UInt8]

  init(vectorDigest: [UInt8], site: Int, request: SumRequest, _ roster: SumRoster, signing: Signing) {
    self.vectorDigest = vectorDigest
    signature = signing.sign(Self.statement(vectorDigest, site, request.digest, roster))
  }

  init(from reader: inout ByteReader) throws(SumError) {
    vectorDigest = try reader.bytes32()
    signature = try reader.bytes(Signing.signatureByteCount)
  }

  func write(to writer: inout ByteWriter) {
    writer.write(vectorDigest)
    writer.write(signature)
  }

  func message(_ request: SumRequest, setUp: UInt32, _ roster: SumRoster) -> [UInt8] {
    MessageHeader.message(.upload, roster, setUp: setUp) { writer in
      writer.write(request.digest)
      write(to: &writer)
    }
  }

  /// - Throws: `.malformed`; `.outOfOrder` for another request.
  static func read(_ message: [UInt8], request: SignedRequest, _ roster: SumRoster) throws(SumError) -> UploadMessage {
    try MessageHeader.read(.upload, message, roster) { (setUp, reader) throws(SumError) in
      guard setUp == request.setUp, try reader.bytes32() == request.request.digest else {
        throw .outOfOrder("an upload for another request")
      }
      return try UploadMessage(from: &reader)
    }
  }

  func isSigned(by signingKey: [UInt8], site: Int, request: SumRequest, _ roster: SumRoster) -> Bool {
    Signing.verify(signature, of: Self.statement(vectorDigest, site, request.digest, roster), by: signingKey)
  }

  private static func statement(
    _ vectorDigest: [UInt8], _ site: Int, _ requestDigest: [UInt8], _ roster: SumRoster
  ) -> [UInt8] {
    Statement.bytes("upload", roster) { writer in
      writer.write(requestDigest)
      writer.write(UInt32(site))
      writer.write(vectorDigest)
    }
  }
}

/// Whose uploads are in a sum, with their digests: what all holders must have the same view of before any share is given.
struct SurvivorList: Equatable {
  let request: SignedRequest
  /// In the order of the charter.
  let uploads: [Entry]
  /// SHA-256 of request, sites and vectors' digests.
  let digest: [UInt8]

  struct Entry: Equatable {
    let site: Int
    let upload: UploadMessage
  }

  var sites: [Int] { uploads.map(\.site) }

  init(request: SignedRequest, uploads: [Entry], _ roster: SumRoster) {
    self.request = request
    self.uploads = uploads
    digest =
      SHA256.hash(
        Statement.bytes("survivors", roster) { writer in
          writer.write(request.request.digest)
          writer.write(list: uploads.map { (site: $0.site, value: $0.upload) }) { $1.write($0.vectorDigest) }
        }
      ).bytes
  }

  init(from reader: inout ByteReader, setUp: UInt32, _ roster: SumRoster) throws(SumError) {
    let request = try SignedRequest(from: &reader, setUp: setUp, roster)
    let uploads = try reader.list(roster) { (_, reader) throws(SumError) in try UploadMessage(from: &reader) }
    self.init(request: request, uploads: uploads.map { Entry(site: $0.site, upload: $0.value) }, roster)
  }

  func write(to writer: inout ByteWriter) {
    request.write(to: &writer)
    writer.write(list: uploads.map { (site: $0.site, value: $0.upload) }) { $0.write(to: &$1) }
  }

  /// Aggregator to site.
  func message(_ roster: SumRoster) -> [UInt8] {
    MessageHeader.message(.survivors, roster, setUp: request.setUp) { write(to: &$0) }
  }

  static func read(_ message: [UInt8], _ roster: SumRoster) throws(SumError) -> SurvivorList {
    try MessageHeader.read(.survivors, message, roster) { (setUp, reader) throws(SumError) in
      try SurvivorList(from: &reader, setUp: setUp, roster)
    }
  }

  /// What a site signs.
  static func statement(_ digest: [UInt8], _ roster: SumRoster) -> [UInt8] {
    Statement.bytes("these are the survivors", roster) { $0.write(digest) }
  }
}

/// Site to aggregator: its signature of a list of survivors.
enum SignatureMessage {
  static func message(_ signature: [UInt8], survivors: [UInt8], setUp: UInt32, _ roster: SumRoster) -> [UInt8] {
    MessageHeader.message(.signature, roster, setUp: setUp) { writer in
      writer.write(survivors)
      writer.write(signature)
    }
  }

  static func read(_ message: [UInt8], survivors: SurvivorList, _ roster: SumRoster) throws(SumError) -> [UInt8] {
    try MessageHeader.read(.signature, message, roster) { (setUp, reader) throws(SumError) in
      guard setUp == survivors.request.setUp, try reader.bytes32() == survivors.digest else {
        throw .outOfOrder("a signature of other survivors")
      }
      return try reader.bytes(Signing.signatureByteCount)
    }
  }
}

/// Aggregator to site: at least as many signatures of one list as the threshold.
struct SignaturesMessage {
  let survivors: [UInt8]
  let signatures: [(site: Int, value: [UInt8])]

  static func message(
    _ signatures: [(site: Int, value: [UInt8])], survivors: [UInt8], setUp: UInt32, _ roster: SumRoster
  ) -> [UInt8] {
    MessageHeader.message(.signatures, roster, setUp: setUp) { writer in
      writer.write(survivors)
      writer.write(list: signatures) { $1.write($0) }
    }
  }

  init(_ message: [UInt8], setUp: UInt32, _ roster: SumRoster) throws(SumError) {
    (survivors, signatures) = try MessageHeader.read(.signatures, message, roster) {
      (number, reader) throws(SumError) in
      guard number == setUp else { throw .outOfOrder("signatures under set-up \(number)") }
      return (
        try reader.bytes32(),
        try reader.list(roster) { (_, reader) throws(SumError) in try reader.bytes(Signing.signatureByteCount) }
      )
    }
  }
}

/// Site to aggregator: a share of every site of the cohort, of its seed when it is among the survivors and of its key when it is not. There is room
/// for one only.
enum GivenMessage {
  static func message(
    _ shares: [(site: Int, value: [UInt8])], survivors: [UInt8], setUp: UInt32, _ roster: SumRoster
  ) -> [UInt8] {
    MessageHeader.message(.given, roster, setUp: setUp) { writer in
      writer.write(survivors)
      writer.write(list: shares) { $1.write($0) }
    }
  }

  /// By the site whose secret it is a share of.
  static func read(
    _ message: [UInt8], survivors: SurvivorList, _ roster: SumRoster
  ) throws(SumError) -> [(site: Int, value: [UInt8])] {
    let shares = try MessageHeader.read(.given, message, roster) { (setUp, reader) throws(SumError) in
      guard setUp == survivors.request.setUp, try reader.bytes32() == survivors.digest else {
        throw .outOfOrder("shares for other survivors")
      }
      return try reader.list(roster) { (_, reader) throws(SumError) in
        let share = try reader.bytes(SecretSharing.shareByteCount)
        guard SecretSharing.isShare(share) else { throw .malformed("bytes that are no share") }
        return share
      }
    }
    guard shares.map(\.site) == survivors.request.request.cohort else {
      throw .malformed("shares that are not one for every site of the cohort")
    }
    return shares
  }
}
