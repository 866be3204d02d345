import Cryptography
import Testing

@testable import SecureSums

/// Ten sites with a threshold of seven bear any three, wherever they are lost.
@Suite struct DropOutTests {
  /// Which message a site is killed before.
  private static let stages: [MessageKind] = [.opening, .announcements, .delivery, .request, .survivors, .signatures]

  /// 200 trials by seed: three sites, each killed before its message of the trial's stage; the set-up's stages in a federation of their own.
  @Test func anyThreeOfTenMayBeKilledAtEveryStage() throws {
    var numbers = SeededNumbers(2017)
    let lasting = try SumFederation(sites: 10, threshold: 7, minimum: 5)
    try lasting.setUp(sums: 100)
    var kills = 0
    for trial in 0..<200 {
      let stage = Self.stages[trial % 6]
      let isSetUp = stage == .opening || stage == .announcements || stage == .delivery
      let federation = isSetUp ? try SumFederation(sites: 10, threshold: 7, minimum: 5) : lasting
      let killed = Set(federation.sites.shuffled(using: &numbers).prefix(3))
      federation.down = []
      federation.beforeMessage = { federation, site, message in
        if killed.contains(site), message.first == stage.rawValue { federation.down.insert(site) }
      }
      if isSetUp { try federation.setUp(sums: 1) }
      federation.draw(Int.random(in: 1...40, using: &numbers), &numbers)
      try federation.begin("trial \(trial)")
      let result = try federation.run()
      // Where seven have given already, an eighth is not asked any more.
      #expect(stage == .signatures ? federation.down.isSubset(of: killed) : federation.down == killed)
      kills += federation.down.count
      // Before its request a site is in no sum; after its upload it is.
      let expected = federation.sites.filter {
        !killed.contains($0) || stage == .survivors || stage == .signatures
      }
      #expect(result.sites == expected)
      #expect(result.vector == federation.plainSum(result.sites))
      federation.beforeMessage = nil
    }
    #expect(kills > 500)
  }

  /// Who was away in the set-up comes for its shares later, and then helps to open a sum.
  @Test func whoMissedTheDeliveryHelpsLater() throws {
    var numbers = SeededNumbers(3)
    let federation = try SumFederation(sites: 5, threshold: 4)
    federation.beforeMessage = { federation, site, message in
      if site == 5, message.first == MessageKind.delivery.rawValue { federation.down.insert(5) }
    }
    try federation.setUp(sums: 2)
    federation.beforeMessage = nil
    federation.draw(10, &numbers)
    try federation.begin("update 1", cohort: [1, 2, 3])
    // 4 is lost for good: without 5 there are three of four.
    federation.down = [4, 5]
    #expect(throws: SumError.waiting(missing: "hospital 4, hospital 5", have: 3, need: 4)) { try federation.run() }
    federation.down = [4]
    #expect(try federation.run().vector == federation.plainSum([1, 2, 3]))
  }

  @Test func fourOfTenKilledBeforeSharesAreNamedAndWaitedFor() throws {
    var numbers = SeededNumbers(4)
    let federation = try SumFederation(sites: 10, threshold: 7, minimum: 5)
    try federation.setUp(sums: 1)
    federation.draw(30, &numbers)
    try federation.begin("update 1")
    for kind in [MessageKind.survivors, .signatures] {
      federation.beforeMessage = { federation, site, message in
        if [2, 3, 5, 7].contains(site), message.first == kind.rawValue { federation.down.insert(site) }
      }
      try federation.pump()
      #expect(federation.coordinator.stage == (kind == .survivors ? .signing : .unmasking))
      #expect(federation.coordinator.waitingFor == [2, 3, 5, 7])
      #expect(
        throws: SumError.waiting(missing: "hospital 2, hospital 3, hospital 5, hospital 7", have: 6, need: 7)
      ) { try federation.coordinator.proceed() }
      // Nothing changes while it waits, and a restart does not either.
      try federation.restartCoordinator()
      try federation.pump()
      #expect(federation.coordinator.stage == (kind == .survivors ? .signing : .unmasking))
      federation.down = []
    }
    federation.beforeMessage = nil
    #expect(throws: SumError.mustBeFinished(sum: 1)) { try federation.coordinator.abandon() }
    let result = try federation.run()
    #expect(result.sites == federation.sites)
    #expect(result.vector == federation.plainSum(federation.sites))
  }

  @Test func fourOfTenKilledAfterSharesDoNotMatter() throws {
    var numbers = SeededNumbers(5)
    let federation = try SumFederation(sites: 10, threshold: 7, minimum: 5)
    try federation.setUp(sums: 1)
    federation.draw(30, &numbers)
    try federation.begin("update 1")
    federation.down = [10]
    try federation.pump()
    try federation.coordinator.proceed()
    try federation.pump([1, 2, 3, 4, 5, 6, 7])
    #expect(federation.coordinator.stage == .unmaskable)
    federation.down = [1, 2, 3, 4, 10]
    try federation.restartCoordinator()
    let result = try federation.run()
    #expect(result.sites == Array(1...9))
    #expect(result.vector == federation.plainSum(result.sites))
  }

  /// Too few uploads: below the minimum nobody is summed.
  @Test func belowTheMinimumItWaits() throws {
    var numbers = SeededNumbers(6)
    let federation = try SumFederation(sites: 5, threshold: 3, minimum: 4)
    try federation.setUp(sums: 1)
    federation.draw(3, &numbers)
    try federation.begin("update 1")
    federation.down = [1, 4]
    #expect(throws: SumError.waiting(missing: "hospital 1, hospital 4", have: 3, need: 4)) { try federation.run() }
    federation.down = [1]
    let result = try federation.run()
    #expect(result.sites == [2, 3, 4, 5])
    #expect(result.vector == federation.plainSum([2, 3, 4, 5]))
  }

  @Test func aSetUpOfTooFewWaits() throws {
    let federation = try SumFederation(sites: 5, threshold: 3, minimum: 4)
    federation.down = [1, 4]
    #expect(throws: SumError.waiting(missing: "hospital 1, hospital 4", have: 3, need: 4)) {
      try federation.setUp(sums: 1)
    }
    federation.down = [1]
    try federation.pump()
    try federation.coordinator.proceed()
    try federation.pump()
    #expect(federation.coordinator.setUpSites == [2, 3, 4, 5])
    // Not in this set-up: nothing is due to it, and it can be in no cohort.
    federation.down = []
    #expect(try federation.coordinator.messageDue(to: 1) == nil)
    #expect(throws: SumError.cohort("a site without shared keys is in it")) {
      try federation.begin("update 1", cohort: [1, 2, 3, 4])
    }
  }

  @Test func anUploadAfterTheSurvivorsIsNotAdded() throws {
    var numbers = SeededNumbers(7)
    let federation = try SumFederation(sites: 4, threshold: 3)
    try federation.setUp(sums: 1)
    federation.draw(8, &numbers)
    try federation.begin("update 1")
    // Site 4 makes its upload, and it is under way for too long.
    let message = try #require(try federation.coordinator.messageDue(to: 4))
    guard case .upload(let request) = try federation.party(4).answer(to: message) else { return }
    var vector = try #require(federation.vectors[4])
    let header = try federation.party(4).upload(
      for: request, modelHash: federation.modelHash, format: federation.format(8), masking: &vector)
    federation.down = [4]
    try federation.pump()
    try federation.coordinator.proceed()
    #expect(throws: SumError.late(site: "hospital 4")) {
      try vector.withUnsafeBufferPointer {
        try federation.coordinator.receive(upload: header, vector: $0, from: 4)
      }
    }
    // It still signs and gives shares; its key is rebuilt, its seed never is.
    federation.down = []
    let result = try federation.run()
    #expect(result.sites == [1, 2, 3])
    #expect(result.vector == federation.plainSum([1, 2, 3]))
  }
}
