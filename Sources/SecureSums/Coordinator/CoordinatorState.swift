import Cryptography

/// What the aggregator must keep: no vector, and of a set-up only what it has passed on.
struct CoordinatorState {
  /// Ed25519: what requests are signed with.
  let signing: Signing
  var lastSetUp: UInt32 = 0
  var nextSum: UInt64 = 1
  var purposes = PurposeLedger()
  var setUp: CoordinatorSetUp?
  var sum: CoordinatorSum?
}

/// The aggregator's part in a set-up.
struct CoordinatorSetUp {
  /// How far it is.
  enum Stage: UInt8 {
    case announcing = 1
    case sharing = 2
    case delivering = 3
    case done = 4
  }

  let terms: SetUpTerms
  var stage = Stage.announcing
  /// The first sum whose keys no request has used.
  var nextSum: UInt64
  /// Announcements of the members; while `announcing`, of those who have answered.
  var members: [Int: AnnouncementMessage] = [:]
  /// Once the members are fixed.
  var digest: [UInt8] = []
  /// Who dealt shares; while `sharing`, those who have answered.
  var dealers: Set<Int> = []
  /// Members that have seen the others' announcements.
  var informed: Set<Int> = []
  /// Sealed shares for the members that have not confirmed theirs yet: by whom they are for, then by dealer.
  var undelivered: [Int: [Int: [UInt8]]] = [:]
  /// Members that hold their shares.
  var holders: Set<Int> = []

  var memberNumbers: [Int] { members.keys.sorted() }
  var announcements: [Announcement] { memberNumbers.compactMap { members[$0]?.announcement } }
}

/// The aggregator's part in the sum under way.
struct CoordinatorSum {
  let request: SignedRequest
  /// Entries of a vector.
  let count: Int
  /// Of whom a whole upload was taken.
  var uploads: [Int: UploadMessage] = [:]
  /// Once the survivors are declared.
  var survivors: SurvivorList?
  var signatures: [Int: [UInt8]] = [:]
  /// Signatures were handed out, so that shares may have been given.
  var isReleased = false
  /// By holder: a share for each site of the cohort.
  var given: [Int: [(site: Int, value: [UInt8])]] = [:]
  /// As many holders as the threshold have given.
  var isUnmaskable = false
}

extension CoordinatorState {
  private static let version: UInt16 = 1
  private static let magic = Array("SumCoord".utf8)

  func bytes(_ roster: SumRoster) -> SecretBuffer {
    ByteWriter.secret { writer in
      writer.write(Self.magic)
      writer.write(Self.version)
      writer.write(roster.charterDigest)
      signing.withSeed { writer.write(raw: $0) }
      writer.write(lastSetUp)
      writer.write(nextSum)
      purposes.write(to: &writer)
      writer.write(optional: setUp) { $0.write(to: &$1) }
      writer.write(optional: sum) { $0.write(to: &$1) }
    }
  }

  /// - Throws: `.state`; `.otherCharter`.
  init(_ bytes: UnsafeRawBufferPointer, _ roster: SumRoster) throws(SumError) {
    do throws(SumError) {
      self = try ByteReader.read(raw: bytes) { (reader) throws(SumError) in
        guard try reader.bytes(Self.magic.count) == Self.magic else { throw .malformed("no state of an aggregator") }
        let version = try reader.integer(UInt16.self)
        guard version == Self.version else { throw .malformed("version \(version)") }
        guard try reader.bytes32() == roster.charterDigest else { throw .otherCharter }
        let seed = try reader.secret(Signing.seedByteCount)
        var state: CoordinatorState
        do { state = try seed.withUnsafeBytes { CoordinatorState(signing: try Signing(seed: $0)) } } catch {
          throw .malformed("a signing key")
        }
        state.lastSetUp = try reader.integer()
        state.nextSum = try reader.integer()
        state.purposes = try PurposeLedger(from: &reader)
        state.setUp = try reader.optional { (reader) throws(SumError) in try CoordinatorSetUp(from: &reader, roster) }
        let terms = state.setUp?.terms
        state.sum = try reader.optional { (reader) throws(SumError) in
          guard let terms else { throw .malformed("a sum of no set-up") }
          return try CoordinatorSum(from: &reader, terms: terms, roster)
        }
        return state
      }
    } catch {
      guard case .malformed(let what) = error else { throw error }
      throw .state(what)
    }
  }

  init(signing: Signing) {
    self.signing = signing
  }
}

extension CoordinatorSetUp {
  fileprivate func write(to writer: inout ByteWriter) {
    terms.write(to: &writer)
    writer.write(stage.rawValue)
    writer.write(nextSum)
    writer.write(list: members.sorted { $0.key < $1.key }.map { (site: $0.key, value: $0.value) }) { member, writer in
      member.announcement.write(to: &writer)
      writer.write(list: member.boxes.sorted { $0.key < $1.key }.map { (site: $0.key, value: $0.value) }) {
        $1.write($0)
      }
    }
    writer.write(sized: digest)
    for sites in [dealers, informed, holders] { writer.write(sites: sites.sorted()) }
    writer.write(list: undelivered.sorted { $0.key < $1.key }.map { (site: $0.key, value: $0.value) }) {
      blocks, writer in
      writer.write(list: blocks.sorted { $0.key < $1.key }.map { (site: $0.key, value: $0.value) }) { $1.write($0) }
    }
  }

  fileprivate init(from reader: inout ByteReader, _ roster: SumRoster) throws(SumError) {
    terms = try SetUpTerms(from: &reader)
    let terms = terms
    guard let stage = Stage(rawValue: try reader.integer()) else { throw .malformed("a stage that is none") }
    self.stage = stage
    nextSum = try reader.integer()
    guard (terms.sums.lowerBound...terms.sums.upperBound).contains(nextSum) else { throw .malformed("a next sum") }
    let members = try reader.list(roster) { (site, reader) throws(SumError) in
      let announcement = try Announcement(site: site, from: &reader, terms: terms, roster)
      let boxes = try reader.list(roster) { (_, reader) throws(SumError) in try reader.bytes(SigningKeyBox.byteCount) }
      return AnnouncementMessage(announcement, boxes)
    }
    self.members = Dictionary(uniqueKeysWithValues: members.map { ($0.site, $0.value) })
    digest = try reader.sized()
    dealers = Set(try reader.sites(roster))
    informed = Set(try reader.sites(roster))
    holders = Set(try reader.sites(roster))
    let undelivered = try reader.list(roster) { (_, reader) throws(SumError) in
      let blocks = try reader.list(roster) { (_, reader) throws(SumError) in
        try reader.bytes(terms.count * SealedShares.byteCount)
      }
      return Dictionary(uniqueKeysWithValues: blocks.map { ($0.site, $0.value) })
    }
    self.undelivered = Dictionary(uniqueKeysWithValues: undelivered.map { ($0.site, $0.value) })
  }
}

extension CoordinatorSum {
  fileprivate func write(to writer: inout ByteWriter) {
    request.write(to: &writer)
    writer.write(UInt64(count))
    writer.write(list: uploads.sorted { $0.key < $1.key }.map { (site: $0.key, value: $0.value) }) { $0.write(to: &$1) }
    writer.write(flag: survivors != nil)
    writer.write(list: signatures.sorted { $0.key < $1.key }.map { (site: $0.key, value: $0.value) }) { $1.write($0) }
    writer.write(flag: isReleased)
    writer.write(list: given.sorted { $0.key < $1.key }.map { (site: $0.key, value: $0.value) }) { shares, writer in
      writer.write(list: shares) { $1.write($0) }
    }
    writer.write(flag: isUnmaskable)
  }

  fileprivate init(from reader: inout ByteReader, terms: SetUpTerms, _ roster: SumRoster) throws(SumError) {
    let request = try SignedRequest(from: &reader, setUp: terms.number, roster)
    guard terms.place(of: request.request.sum) != nil else { throw .malformed("a sum of no set-up") }
    self.request = request
    let count = try reader.integer(UInt64.self)
    guard (1...UInt64(SumLimits.entries)).contains(count) else { throw .malformed("a vector of \(count) entries") }
    self.count = Int(count)
    let uploads = try reader.list(roster) { (_, reader) throws(SumError) in try UploadMessage(from: &reader) }
    self.uploads = Dictionary(uniqueKeysWithValues: uploads.map { ($0.site, $0.value) })
    if try reader.flag() {
      survivors = SurvivorList(
        request: request, uploads: uploads.map { SurvivorList.Entry(site: $0.site, upload: $0.value) }, roster)
    }
    let signatures = try reader.list(roster) { (_, reader) throws(SumError) in
      try reader.bytes(Signing.signatureByteCount)
    }
    self.signatures = Dictionary(uniqueKeysWithValues: signatures.map { ($0.site, $0.value) })
    isReleased = try reader.flag()
    let given = try reader.list(roster) { (_, reader) throws(SumError) in
      let shares = try reader.list(roster) { (_, reader) throws(SumError) in
        try reader.bytes(SecretSharing.shareByteCount)
      }
      guard shares.map(\.site) == request.request.cohort else { throw .malformed("shares of another cohort") }
      return shares
    }
    self.given = Dictionary(uniqueKeysWithValues: given.map { ($0.site, $0.value) })
    isUnmaskable = try reader.flag()
  }
}
