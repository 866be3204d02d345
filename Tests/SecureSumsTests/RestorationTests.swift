import Cryptography
import Testing

@testable import SecureSums

/// Machines that are killed at any moment and started from what they wrote last.
@Suite struct RestorationTests {
  /// Every machine is killed before and after every message: the restored one answers with the same bytes, and the sums are right.
  @Test func killedAtEveryStepTheyGiveTheSameBits() throws {
    var numbers = SeededNumbers(31)
    let federation = try SumFederation(sites: 5, threshold: 3)
    var compared = 0
    var isAggregatorKilled = false
    federation.beforeMessage = { federation, site, message in
      try federation.restart(site)
      if message.first != MessageKind.request.rawValue {
        // Answered, killed before the answer leaves, asked again.
        let answer = try federation.party(site).answer(to: message)
        try federation.restart(site)
        #expect(try federation.party(site).answer(to: message) == answer)
        try federation.restart(site)
        compared += 1
      } else if case .upload(let request) = try federation.party(site).answer(to: message) {
        var vector = try #require(federation.vectors[site])
        let header = try federation.party(site).upload(
          for: request, modelHash: federation.modelHash, format: federation.format(vector.count), masking: &vector)
        try federation.restart(site)
        guard case .upload(let again) = try federation.party(site).answer(to: message) else {
          Issue.record("expected to be asked again")
          return
        }
        #expect(again == request)
        var second = try #require(federation.vectors[site])
        #expect(
          try federation.party(site).upload(
            for: request, modelHash: federation.modelHash, format: federation.format(vector.count), masking: &second)
            == header)
        #expect(second == vector)
        compared += 1
      }
      // The aggregator too; what it has not written it asks for again.
      if isAggregatorKilled { try federation.restartCoordinator() }
    }
    /// A pass in which the aggregator is killed before every message, then one in which it lives, so that it comes on.
    func drive(until stage: SumCoordinator.Stage) throws {
      for _ in 0..<20 where federation.coordinator.stage != stage {
        let before = federation.coordinator.stage
        isAggregatorKilled = true
        for site in federation.sites { try federation.exchange(site) }
        isAggregatorKilled = false
        try federation.pump()
        if federation.coordinator.stage == before { try federation.coordinator.proceed() }
      }
      #expect(federation.coordinator.stage == stage)
    }
    try federation.coordinator.openSetUp(sums: 2)
    try drive(until: .idle)
    for round in 1...2 {
      federation.draw(50, &numbers)
      try federation.begin("update \(round)")
      federation.down = round == 1 ? [2] : []
      try drive(until: .unmaskable)
      let result = try federation.coordinator.result()
      try federation.restartCoordinator()
      #expect(try federation.coordinator.result() == result)
      #expect(result.vector == federation.plainSum(result.sites))
      #expect(result.sites == (round == 1 ? [1, 3, 4, 5] : [1, 2, 3, 4, 5]))
      try federation.coordinator.finish()
    }
    #expect(compared > 40)
  }

  /// Restored from what was written, a machine writes the same bytes.
  @Test func aStateIsReadAsItWasWritten() throws {
    var numbers = SeededNumbers(32)
    let federation = try SumFederation(sites: 4, threshold: 3)
    func check() throws {
      for site in federation.sites where !federation.stores[site - 1].bytes.isEmpty {
        let bytes = federation.stores[site - 1].bytes
        let state = try bytes.withUnsafeBytes { try PartyState($0, federation.roster, site: site) }
        #expect(state.bytes(federation.roster, site: site).withUnsafeBytes { Array($0) } == bytes)
      }
      let bytes = federation.coordinatorStore.bytes
      let state = try bytes.withUnsafeBytes { try CoordinatorState($0, federation.roster) }
      #expect(state.bytes(federation.roster).withUnsafeBytes { Array($0) } == bytes)
    }
    federation.beforeMessage = { _, _, _ in try check() }
    try federation.setUp(sums: 2)
    federation.draw(3, &numbers)
    try federation.begin("update 1")
    _ = try federation.run()
    try check()
  }

  /// The disk is full at any of a machine's writes: the call says so, nothing has left, and with room it goes on.
  @Test func aWriteThatFailsChangesNothing() throws {
    var numbers = SeededNumbers(33)
    let federation = try SumFederation(sites: 3, threshold: 2)
    var failures = 0
    federation.beforeMessage = { federation, site, message in
      let party = try federation.party(site)
      let before = party.state.bytes(federation.roster, site: site).withUnsafeBytes { Array($0) }
      federation.stores[site - 1].room = 0
      defer { federation.stores[site - 1].room = nil }
      do {
        guard case .upload(let request) = try party.answer(to: message) else { return }
        var vector = try #require(federation.vectors[site])
        _ = try party.upload(
          for: request, modelHash: federation.modelHash, format: federation.format(vector.count), masking: &vector)
      } catch SumError.storage {
        failures += 1
      }
      #expect(party.state.bytes(federation.roster, site: site).withUnsafeBytes { Array($0) } == before)
    }
    try federation.setUp(sums: 1)
    federation.draw(6, &numbers)
    try federation.begin("update 1")
    #expect(try federation.run().vector == federation.plainSum([1, 2, 3]))
    // Three writes in a set-up, three in a sum; the third site of three is not asked for a share any more.
    #expect(failures >= 15)
  }

  @Test func anAggregatorThatCannotWriteSaysSo() throws {
    let federation = try SumFederation(sites: 3, threshold: 2)
    federation.coordinatorStore.room = 0
    #expect(throws: SumError.storage("Full()")) { try federation.coordinator.openSetUp(sums: 1) }
    #expect(federation.coordinator.stage == .idle)
    federation.coordinatorStore.room = nil
    try federation.setUp(sums: 1)
    federation.vectors = [1: [1], 2: [2], 3: [3]]
    federation.coordinatorStore.room = 0
    #expect(throws: SumError.storage("Full()")) { try federation.begin("update 1") }
    #expect(federation.coordinator.keysLeft == 1)
    federation.coordinatorStore.room = nil
    try federation.begin("update 1")
    #expect(try federation.run().vector == [6])
  }

  /// The aggregator is killed with uploads taken and has no files: it asks for the vectors again, and adds the same.
  @Test func vectorsThatAreLostAreAskedForAgain() throws {
    var numbers = SeededNumbers(34)
    let federation = try SumFederation(sites: 4, threshold: 3)
    try federation.setUp(sums: 1)
    federation.draw(9, &numbers)
    try federation.begin("update 1")
    for site in federation.sites { try federation.exchange(site) }
    try federation.pump()
    #expect(federation.coordinator.stage == .unmaskable)
    let store = federation.coordinatorStore
    let restored = try store.bytes.withUnsafeBytes {
      try SumCoordinator(restoring: $0, roster: federation.roster, key: federation.aggregatorKey) {
        try store.write($0)
      }
    }
    #expect(restored.vectorsMissing == [1, 2, 3, 4])
    #expect(throws: SumError.vectorsMissing("hospital 1, hospital 2, hospital 3, hospital 4")) {
      try restored.result()
    }
    for site in federation.sites {
      let message = try #require(try restored.messageDue(to: site))
      guard case .upload(let request) = try federation.party(site).answer(to: message) else {
        Issue.record("expected to be asked again")
        return
      }
      var vector = try #require(federation.vectors[site])
      let header = try federation.party(site).upload(
        for: request, modelHash: federation.modelHash, format: federation.format(9), masking: &vector)
      try vector.withUnsafeBufferPointer { try restored.receive(upload: header, vector: $0, from: site) }
    }
    #expect(try restored.result().vector == federation.plainSum(federation.sites))
  }

  @Test func aStateOfAnotherSiteCharterOrKeyIsRefused() throws {
    let federation = try SumFederation(sites: 3, threshold: 2)
    try federation.setUp(sums: 1)
    let bytes = federation.stores[0].bytes
    #expect(throws: SumError.state("the state of another site")) {
      try bytes.withUnsafeBytes {
        try SumParty(restoring: $0, roster: federation.roster, site: 2, key: federation.keys[1]) { _ in }
      }
    }
    #expect(throws: SumError.misuse("the key is not the one that the charter has for hospital 1")) {
      try bytes.withUnsafeBytes {
        try SumParty(restoring: $0, roster: federation.roster, site: 1, key: federation.keys[1]) { _ in }
      }
    }
    #expect(throws: SumError.misuse("site 4 of 3")) {
      try SumParty(roster: federation.roster, site: 4, key: federation.keys[1]) { _ in }
    }
    #expect(throws: SumError.misuse("the key is not the one that the charter has")) {
      try SumCoordinator(roster: federation.roster, key: federation.keys[1]) { _ in }
    }
    #expect(throws: SumError.state("no state of an aggregator")) {
      try bytes.withUnsafeBytes {
        try SumCoordinator(restoring: $0, roster: federation.roster, key: federation.aggregatorKey) { _ in }
      }
    }
  }
}
