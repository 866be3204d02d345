import Cryptography
import Testing

@testable import SecureSums

/// What a machine wrote last.
final class StateStore {
  struct Full: Error {}

  private(set) var bytes: [UInt8] = []
  private(set) var writes = 0
  /// How many more writes succeed; nil: all.
  var room: Int?

  func write(_ raw: UnsafeRawBufferPointer) throws {
    if let room {
      guard room > 0 else { throw Full() }
      self.room = room - 1
    }
    bytes = Array(raw)
    writes += 1
  }
}

/// An aggregator and its sites in one process, with their stores; sites can be killed and come back.
final class SumFederation {
  let roster: SumRoster
  let keys: [KeyAgreement]
  let aggregatorKey: KeyAgreement
  private(set) var parties: [Int: SumParty] = [:]
  private(set) var coordinator: SumCoordinator
  let stores: [StateStore]
  let coordinatorStore: StateStore
  /// Sites that do not answer.
  var down: Set<Int> = []
  /// What each site would send in the sum under way, in the clear.
  var vectors: [Int: [UInt64]] = [:]
  /// Uploads as the aggregator's files have them.
  var files: [Int: (message: [UInt8], vector: [UInt64])] = [:]
  /// All that travelled, in both directions.
  var wire: [(site: Int, isToSite: Bool, message: [UInt8])] = []
  /// Called before each message to a site is handed over; may kill sites or restart machines.
  var beforeMessage: ((SumFederation, Int, [UInt8]) throws -> Void)?

  /// Alters what a site answers.
  var tamper: ((Int, inout [UInt8]) -> Void)?

  static let charterDigest = SHA256.hash("a charter".utf8).bytes
  let modelHash = SHA256.hash("a model".utf8).bytes

  init(sites: Int, threshold: Int, minimum: Int = 2) throws {
    keys = (0..<sites).map { _ in KeyAgreement.fresh() }
    aggregatorKey = KeyAgreement.fresh()
    roster = try SumRoster(
      charterDigest: Self.charterDigest,
      sites: keys.enumerated().map { SumRoster.Site(name: "hospital \($0 + 1)", publicKey: $1.publicKey) },
      aggregatorKey: aggregatorKey.publicKey, threshold: threshold, minimum: minimum)
    stores = (0..<sites).map { _ in StateStore() }
    coordinatorStore = StateStore()
    let store = coordinatorStore
    coordinator = try SumCoordinator(roster: roster, key: aggregatorKey) { try store.write($0) }
    for site in roster.numbers { try restart(site) }
  }

  var sites: [Int] { Array(roster.numbers) }

  func party(_ site: Int) throws -> SumParty { try #require(parties[site]) }

  /// Kills a site and starts it from what it wrote last.
  func restart(_ site: Int) throws {
    let store = stores[site - 1]
    parties[site] =
      store.bytes.isEmpty
      ? try SumParty(roster: roster, site: site, key: keys[site - 1]) { try store.write($0) }
      : try store.bytes.withUnsafeBytes { bytes in
        try SumParty(restoring: bytes, roster: roster, site: site, key: keys[site - 1]) { try store.write($0) }
      }
  }

  /// Kills the aggregator and starts it from what it wrote last, and its files.
  func restartCoordinator() throws {
    let store = coordinatorStore
    coordinator = try store.bytes.withUnsafeBytes { bytes in
      try SumCoordinator(restoring: bytes, roster: roster, key: aggregatorKey) { try store.write($0) }
    }
    for site in coordinator.vectorsMissing {
      let file = try #require(files[site])
      try file.vector.withUnsafeBufferPointer {
        try coordinator.receive(upload: file.message, vector: $0, from: site)
      }
    }
  }

  func format(_ count: Int) throws -> VectorFormat {
    try VectorFormat(blocks: [.init(name: "values", count: count, kind: .integer(bound: 1 << 40))], sites: sites.count)
  }

  /// Random vectors of every site; any 64-bit words.
  func draw(_ count: Int, _ numbers: inout SeededNumbers) {
    files = [:]
    for site in sites { vectors[site] = (0..<count).map { _ in numbers.next() } }
  }

  /// One message to a site and its answer back. False when nothing is due.
  @discardableResult
  func exchange(_ site: Int) throws -> Bool {
    guard !down.contains(site), let message = try coordinator.messageDue(to: site) else { return false }
    try beforeMessage?(self, site, message)
    guard !down.contains(site) else { return false }
    wire.append((site, true, message))
    switch try party(site).answer(to: message) {
    case .nothing: return false
    case .reply(var reply):
      tamper?(site, &reply)
      wire.append((site, false, reply))
      try coordinator.receive(reply, from: site)
    case .upload(let request):
      var vector = try #require(vectors[site])
      let header = try party(site).upload(
        for: request, modelHash: modelHash, format: format(vector.count), masking: &vector)
      wire.append((site, false, header))
      files[site] = (header, vector)
      try vector.withUnsafeBufferPointer { try coordinator.receive(upload: header, vector: $0, from: site) }
    }
    return true
  }

  /// Until nothing is due to a site that answers.
  func pump(_ order: [Int]? = nil) throws {
    var isMoving = true
    while isMoving {
      isMoving = false
      for site in order ?? sites where coordinator.stage != .unmaskable {
        if try exchange(site) { isMoving = true }
      }
    }
  }

  /// A set-up with everybody who is there.
  func setUp(sums: Int) throws {
    try coordinator.openSetUp(sums: sums)
    try pump()
    while coordinator.stage != .idle {
      try coordinator.proceed()
      try pump()
    }
  }

  @discardableResult
  func begin(_ purpose: String, cohort: [Int]? = nil) throws -> SumRequest {
    try coordinator.begin(
      purpose: purpose, modelHash: modelHash, cohort: cohort ?? coordinator.setUpSites,
      format: format(vectors[1]?.count ?? 1))
  }

  /// On with those who are there, until the sum is open.
  func run() throws -> SumResult {
    try pump()
    while coordinator.stage != .unmaskable {
      try coordinator.proceed()
      try pump()
    }
    let result = try coordinator.result()
    try coordinator.finish()
    return result
  }

  /// The plain sum of the vectors of these sites, modulo 2⁶⁴.
  func plainSum(_ sites: [Int]) -> [UInt64] {
    let count = vectors[1]?.count ?? 0
    return sites.reduce(into: [UInt64](repeating: 0, count: count)) { sum, site in
      for (index, value) in (vectors[site] ?? []).enumerated() { sum[index] &+= value }
    }
  }

  /// The last message of a kind that went to a site, or came from it.
  func last(_ kind: MessageKind, _ site: Int) throws -> [UInt8] {
    try #require(wire.last { $0.site == site && $0.message.first == kind.rawValue }).message
  }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the same choices in every run of a test.
struct SeededNumbers: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) {
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var word = state
    word = (word ^ word >> 30) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ word >> 27) &* 0x94d0_49bb_1331_11eb
    return word ^ word >> 31
  }
}
