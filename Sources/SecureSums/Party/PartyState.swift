import Cryptography

/// What a site must keep: written whole before every answer that depends on it. A value: a change is made to a copy, written, and only
/// then put in its place.
struct PartyState {
  /// The number of the last set-up that was opened.
  var lastSetUp: UInt32 = 0
  /// The first sum that no set-up had keys for.
  var nextSum: UInt64 = 1
  /// What this site has taken part in, for ever.
  var purposes = PurposeLedger()
  var setUp: PartySetUp?
  var sum: PartySum?
}

/// Which things were summed, and how far it came.
struct PurposeLedger: Equatable {
  struct Entry: Equatable {
    var attempt: Int
    /// A share was given: it must never be summed anew.
    var isGiven: Bool
  }

  private(set) var entries: [String: Entry] = [:]

  func attempt(of purpose: String) -> Int { entries[purpose]?.attempt ?? 0 }

  func isGiven(_ purpose: String) -> Bool { entries[purpose]?.isGiven ?? false }

  mutating func begin(_ purpose: String, attempt: Int) {
    entries[purpose, default: Entry(attempt: attempt, isGiven: false)].attempt = attempt
  }

  mutating func give(_ purpose: String) {
    entries[purpose]?.isGiven = true
  }

  func write(to writer: inout ByteWriter) {
    writer.write(UInt32(entries.count))
    for (purpose, entry) in entries.sorted(by: { $0.key < $1.key }) {
      writer.write(text: purpose)
      writer.write(UInt32(clamping: entry.attempt))
      writer.write(flag: entry.isGiven)
    }
  }

  init() {}

  init(from reader: inout ByteReader) throws(SumError) {
    for _ in 0..<(try reader.count(0...10_000_000, "purposes")) {
      let purpose = try reader.text("a purpose")
      let attempt = try reader.count(SumRequest.attempts, "as an attempt")
      let isGiven = try reader.flag()
      guard entries.updateValue(Entry(attempt: attempt, isGiven: isGiven), forKey: purpose) == nil else {
        throw .malformed("a purpose twice")
      }
    }
  }
}

/// A site's part in a set-up.
struct PartySetUp {
  let terms: SetUpTerms
  let signing: Signing
  let announcement: Announcement
  /// What was answered to the opening; dropped when shares are held.
  var announced: [UInt8]
  /// X25519, for sealed shares; dropped when shares are held.
  var sharing: KeyAgreement?
  /// Ephemeral key and seed of every sum from `firstKept` on.
  var secrets: SumSecrets
  /// After the announcements of all.
  var members: [Announcement] = []
  var digest: [UInt8] = []
  /// What was dealt, and this site's own shares of its own secrets; dropped when shares are held.
  var dealt: Dealt?
  /// Shares that this site holds, by dealer, once they were delivered.
  var held: [Int: SumSecrets]?

  struct Dealt {
    let message: [UInt8]
    let own: SumSecrets
  }

  var memberNumbers: [Int] { members.map(\.site) }
  var dealers: [Int] { held.map { $0.keys.sorted() } ?? [] }

  func member(_ site: Int) -> Announcement? { members.first { $0.site == site } }

  /// Drops the secrets of the sums before: whoever takes this site's state later cannot open them.
  mutating func forget(before sum: UInt64) {
    guard let place = terms.place(of: sum) else { return }
    secrets.forget(before: place)
    held = held?.mapValues { secrets in
      var secrets = secrets
      secrets.forget(before: place)
      return secrets
    }
  }
}

/// Secrets of the same size for each sum of a set-up, from a first one on.
struct SumSecrets {
  private(set) var firstKept: Int
  private let perSum: Int
  /// Nil when none is left.
  private var bytes: SecretBuffer?

  init(perSum: Int, bytes: SecretBuffer) {
    firstKept = 0
    self.perSum = perSum
    self.bytes = bytes
  }

  /// Sums from `firstKept` on.
  var count: Int { (bytes?.bytes.count ?? 0) / perSum }

  /// Part of the secrets of a sum, or nil when they are forgotten or were never there.
  func secret(at place: Int, _ range: Range<Int>) -> SecretBuffer? {
    guard let bytes, place >= firstKept, place - firstKept < count else { return nil }
    let start = (place - firstKept) * perSum
    return bytes.withUnsafeBytes {
      SecretBuffer(copying: UnsafeRawBufferPointer(rebasing: $0[start + range.lowerBound..<start + range.upperBound]))
    }
  }

  mutating func forget(before place: Int) {
    guard place > firstKept else { return }
    let dropped = min(count, place - firstKept) * perSum
    firstKept = place
    guard let old = bytes, old.bytes.count > dropped else {
      bytes = nil
      return
    }
    bytes = old.withUnsafeBytes { SecretBuffer(copying: UnsafeRawBufferPointer(rebasing: $0[dropped...])) }
  }

  func write(to writer: inout ByteWriter) {
    writer.write(UInt32(firstKept))
    writer.write(UInt32(count))
    if let bytes { writer.write(bytes) }
  }

  /// - Parameter sums: of the set-up.
  init(perSum: Int, sums: Int, from reader: inout ByteReader) throws(SumError) {
    self.perSum = perSum
    firstKept = try reader.count(0...sums, "sums that are forgotten")
    let count = try reader.count(0...sums - firstKept, "sums with secrets")
    bytes = count == 0 ? nil : try reader.secret(count * perSum)
  }
}

/// A site's part in the sum under way.
struct PartySum {
  let request: SignedRequest
  /// Of the vector that left, or may have left.
  var vectorDigest: [UInt8]?
  /// What this site has signed; it signs no other list for this sum.
  var survivors: SurvivorList?
  var isGiven = false
}
