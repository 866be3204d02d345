import Cryptography

/// What a set-up is for: chosen by the aggregator, sealed in a box for each site, and in everything that sites sign in it.
struct SetUpTerms: Equatable {
  /// From 1, each higher than the last.
  let number: UInt32
  /// The first sum that has keys of this set-up; sums' numbers go on from set-up to set-up.
  let firstSum: UInt64
  /// Sums that have keys.
  let count: Int
  /// Ed25519: what the aggregator signs requests with.
  let aggregatorKey: [UInt8]

  static let counts = 1...1024
  /// Numbers of sums stay far from where adding overflows.
  static let lastSum: UInt64 = 1 << 40

  var sums: Range<UInt64> { firstSum..<firstSum + UInt64(count) }

  /// Where among the set-up's sums one is.
  func place(of sum: UInt64) -> Int? {
    sums.contains(sum) ? Int(clamping: sum - firstSum) : nil
  }

  func write(to writer: inout ByteWriter) {
    writer.write(number)
    writer.write(firstSum)
    writer.write(UInt32(count))
    writer.write(aggregatorKey)
  }

  init(number: UInt32, firstSum: UInt64, count: Int, aggregatorKey: [UInt8]) {
    self.number = number
    self.firstSum = firstSum
    self.count = count
    self.aggregatorKey = aggregatorKey
  }

  init(from reader: inout ByteReader) throws(SumError) {
    number = try reader.integer()
    firstSum = try reader.integer()
    count = try reader.count(Self.counts, "sums of a set-up")
    aggregatorKey = try reader.bytes(Signing.publicKeyByteCount)
    guard (1...Self.lastSum).contains(firstSum), number >= 1 else { throw .malformed("a set-up that cannot be") }
  }
}

/// Aggregator to site: the terms, in a box under both charter keys.
struct Opening {
  static func message(
    _ terms: SetUpTerms, to site: Int, _ roster: SumRoster, key: KeyAgreement
  ) throws(SumError) -> [UInt8] {
    let plain = Statement.bytes("opening", roster) { writer in
      writer.write(UInt32(site))
      terms.write(to: &writer)
    }
    let box = try sealed(plain, to: roster.sites[site - 1].publicKey, by: key, roster.name(site))
    return MessageHeader.message(.opening, roster, setUp: terms.number) { $0.write(sized: box) }
  }

  /// - Throws: `.notAuthentic` unless the aggregator of the charter sealed it for this site and this charter.
  static func read(
    _ message: [UInt8], at site: Int, _ roster: SumRoster, key: KeyAgreement
  ) throws(SumError) -> SetUpTerms {
    let (setUp, box) = try MessageHeader.read(.opening, message, roster) { (setUp, reader) throws(SumError) in
      (setUp, try reader.sized())
    }
    let plain = try opened(box, from: roster.aggregatorKey, by: key, "the aggregator")
    let prefix = Statement.bytes("opening", roster) { $0.write(UInt32(site)) }
    guard plain.starts(with: prefix) else { throw .notAuthentic("an opening for another site or charter") }
    let terms = try ByteReader.read(Array(plain.dropFirst(prefix.count))) { (reader) throws(SumError) in
      try SetUpTerms(from: &reader)
    }
    guard terms.number == setUp else {
      throw .inconsistent("an opening of set-up \(setUp) with the terms of \(terms.number)")
    }
    return terms
  }
}

/// Site to site: the signing key, in a box under both charter keys, so that the aggregator cannot put another in its place.
enum SigningKeyBox {
  static let byteCount = Box.overhead + Signing.publicKeyByteCount + 8 + 4 + prefixLength

  private static let purpose = "signing key"
  private static let prefixLength = 4 + "secure sums 1: signing key".utf8.count + 32

  private static func plain(
    _ signingKey: [UInt8], setUp: UInt32, from: Int, to: Int, _ roster: SumRoster
  ) -> [UInt8] {
    Statement.bytes(purpose, roster) { writer in
      writer.write(setUp)
      writer.write(UInt32(from))
      writer.write(UInt32(to))
      writer.write(signingKey)
    }
  }

  static func seal(
    _ signingKey: [UInt8], setUp: UInt32, from: Int, to: Int, _ roster: SumRoster, key: KeyAgreement
  ) throws(SumError) -> [UInt8] {
    try sealed(
      plain(signingKey, setUp: setUp, from: from, to: to, roster), to: roster.sites[to - 1].publicKey, by: key,
      roster.name(to))
  }

  /// - Throws: `.notAuthentic` unless `from` sealed just this key for `to`, in this set-up.
  static func check(
    _ box: [UInt8], holds signingKey: [UInt8], setUp: UInt32, from: Int, to: Int, _ roster: SumRoster, key: KeyAgreement
  ) throws(SumError) {
    let content = try opened(box, from: roster.sites[from - 1].publicKey, by: key, roster.name(from))
    guard content == plain(signingKey, setUp: setUp, from: from, to: to, roster) else {
      throw .notAuthentic("the signing key of \(roster.name(from)) is not the one that it sent this site")
    }
  }
}

private func sealed(
  _ plain: [UInt8], to publicKey: [UInt8], by key: KeyAgreement, _ whose: String
) throws(SumError) -> [UInt8] {
  do { return try Box.seal(plain, to: publicKey, from: key) } catch { throw .roster("the key of \(whose): \(error)") }
}

private func opened(
  _ box: [UInt8], from publicKey: [UInt8], by key: KeyAgreement, _ whose: String
) throws(SumError) -> [UInt8] {
  do { return try Box.open(box, from: publicKey, by: key) } catch { throw .notAuthentic("a box of \(whose): \(error)") }
}
