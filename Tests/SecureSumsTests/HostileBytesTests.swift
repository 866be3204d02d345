import Cryptography
import Testing

@testable import SecureSums

/// Bytes that were cut, altered or made up: an error, never a trap, and nothing changes.
@Suite struct HostileBytesTests {
  /// Every message of a set-up and a sum, just before it would be handed over.
  @Test func alteredMessagesToASiteAreRefused() throws {
    var numbers = SeededNumbers(41)
    let federation = try SumFederation(sites: 3, threshold: 2)
    var kinds = Set<UInt8>()
    federation.beforeMessage = { federation, site, message in
      kinds.insert(message[0])
      let party = try federation.party(site)
      let writes = federation.stores[site - 1].writes
      for altered in Self.alterations(of: message, &numbers) {
        #expect(throws: SumError.self) { try party.answer(to: altered) }
      }
      #expect(federation.stores[site - 1].writes == writes)
    }
    try federation.setUp(sums: 2)
    federation.draw(4, &numbers)
    try federation.begin("update 1")
    #expect(try federation.run().vector == federation.plainSum([1, 2, 3]))
    #expect(kinds == [2, 4, 6, 8, 10, 12])
  }

  /// The same of what sites answer. What the aggregator cannot read or check, boxes and sealed or plain shares, is left as it is: the sites or the
  /// commitments find out. A message of another stage is passed over, so that not every one is an error; but nothing changes.
  @Test func alteredMessagesToTheAggregatorChangeNothing() throws {
    var numbers = SeededNumbers(42)
    let federation = try SumFederation(sites: 3, threshold: 2)
    let withOpaque = [MessageKind.announcement, .shares, .given].map(\.rawValue)
    var refused = 0
    federation.tamper = { site, reply in
      let checked = withOpaque.contains(reply[0]) ? 70 : reply.count
      var all = Self.alterations(of: Array(reply.prefix(checked)), &numbers).map { $0 + reply.dropFirst(checked) }
      all += [0, 1, 33, 38, 69, reply.count - 1].map { Array(reply.prefix($0)) } + [reply + [0]]
      for altered in all where altered != reply {
        let before = federation.coordinator.state.bytes(federation.roster).withUnsafeBytes { Array($0) }
        do { try federation.coordinator.receive(altered, from: site) } catch { refused += 1 }
        #expect(federation.coordinator.state.bytes(federation.roster).withUnsafeBytes { Array($0) } == before)
      }
    }
    try federation.setUp(sums: 2)
    federation.draw(4, &numbers)
    try federation.begin("update 1")
    #expect(try federation.run().vector == federation.plainSum([1, 2, 3]))
    #expect(refused > 300)
  }

  @Test func alteredStatesAreRefusedOrHarmless() throws {
    var numbers = SeededNumbers(43)
    let federation = try SumFederation(sites: 3, threshold: 2)
    try federation.setUp(sums: 2)
    federation.draw(4, &numbers)
    try federation.begin("update 1")
    try federation.pump()
    let messages = federation.wire.filter { $0.site == 1 && $0.isToSite }.map(\.message)
    let bytes = federation.stores[0].bytes
    for count in stride(from: 0, to: bytes.count, by: 7) {
      #expect(throws: SumError.self) {
        try bytes.prefix(count).withUnsafeBytes { try PartyState($0, federation.roster, site: 1) }
      }
    }
    for altered in Self.alterations(of: bytes, &numbers, count: 400) {
      // Secrets have no form: those are other secrets then.
      guard
        let party = try? altered.withUnsafeBytes({
          try SumParty(restoring: $0, roster: federation.roster, site: 1, key: federation.keys[0]) { _ in }
        })
      else { continue }
      for message in messages { _ = try? party.answer(to: message) }
      _ = party.keysLeft
    }
    let state = federation.coordinatorStore.bytes
    for altered in Self.alterations(of: state, &numbers, count: 400) {
      guard
        let coordinator = try? altered.withUnsafeBytes({
          try SumCoordinator(restoring: $0, roster: federation.roster, key: federation.aggregatorKey) { _ in }
        })
      else { continue }
      for site in 1...3 { _ = try? coordinator.messageDue(to: site) }
      for file in federation.files {
        try? file.value.vector.withUnsafeBufferPointer {
          try coordinator.receive(upload: file.value.message, vector: $0, from: file.key)
        }
      }
      _ = (coordinator.keysLeft, coordinator.waitingFor, coordinator.setUpSites)
      _ = try? coordinator.result()
    }
  }

  @Test func madeUpMessagesAreRefused() throws {
    var numbers = SeededNumbers(44)
    let federation = try SumFederation(sites: 3, threshold: 2)
    try federation.setUp(sums: 1)
    let party = try federation.party(1)
    for kind in UInt8(0)...16 {
      for count in [0, 1, 2, 33, 34, 38, 100, 1000] {
        var message = [kind, 1] + federation.roster.charterDigest + [1, 0, 0, 0]
        message =
          Array(message.prefix(count)) + (0..<max(0, count - 38)).map { _ in UInt8(truncatingIfNeeded: numbers.next()) }
        #expect(throws: SumError.self) { try party.answer(to: message) }
        _ = try? federation.coordinator.receive(message, from: 1)
        // Counts of four billion.
        message = [kind, 1] + federation.roster.charterDigest + [1, 0, 0, 0] + [UInt8](repeating: 0xff, count: count)
        #expect(throws: SumError.self) { try party.answer(to: message) }
        _ = try? federation.coordinator.receive(message, from: 1)
      }
    }
  }

  /// Cut anywhere, a byte more, a bit or a byte another, a piece moved.
  private static func alterations(of message: [UInt8], _ numbers: inout SeededNumbers, count: Int = 40) -> [[UInt8]] {
    var all: [[UInt8]] = [[], message + [0]]
    for trial in 0..<count {
      let place = Int.random(in: 0..<message.count, using: &numbers)
      var altered = message
      switch trial % 4 {
      case 0: altered = Array(message.prefix(place))
      case 1: altered[place] ^= 1 << UInt8.random(in: 0...7, using: &numbers)
      case 2: altered[place] = altered[place] == 0xff ? 0 : 0xff
      default:
        let other = Int.random(in: 0..<message.count, using: &numbers)
        guard message[place] != message[other] else { continue }
        altered.swapAt(place, other)
      }
      all.append(altered)
    }
    // The header and what follows it, bit by bit.
    for place in 0..<min(60, message.count) {
      var altered = message
      altered[place] ^= 0x80
      all.append(altered)
    }
    return all
  }
}
