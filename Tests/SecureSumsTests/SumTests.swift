import Cryptography
import Testing

@testable import SecureSums

/// What the machines add up, against plain sums of the same integers.
@Suite struct SumTests {
  /// Every number of sites from 2 to 10 with every threshold; sizes, cohorts, and who is lost where, by seed.
  @Test(arguments: 2...10)
  func sumsArePlainSumsBitForBit(_ sites: Int) throws {
    for threshold in sites / 2 + 1...sites {
      var numbers = SeededNumbers(UInt64(sites * 100 + threshold))
      let federation = try SumFederation(sites: sites, threshold: threshold)
      try federation.setUp(sums: 3)
      #expect(federation.coordinator.keysLeft == 3)
      for trial in 0..<3 {
        federation.down = []
        federation.draw(Int.random(in: 1...300, using: &numbers), &numbers)
        let cohort = federation.sites.shuffled(using: &numbers).prefix(Int.random(in: 2...sites, using: &numbers))
          .sorted()
        let request = try federation.begin("sum \(trial)", cohort: cohort)
        #expect(request.sum == UInt64(trial + 1) && request.attempt == 1)
        // Losing as many as the protocol bears, each before a message of its own.
        let lost = federation.sites.shuffled(using: &numbers).prefix(
          Int.random(in: 0...min(sites - threshold, cohort.count - 2), using: &numbers))
        let moments = Dictionary(uniqueKeysWithValues: lost.map { ($0, Int.random(in: 0...2, using: &numbers)) })
        var seen: [Int: Int] = [:]
        federation.beforeMessage = { federation, site, _ in
          if let moment = moments[site], seen[site, default: 0] >= moment { federation.down.insert(site) }
          seen[site, default: 0] += 1
        }
        let result = try federation.run()
        #expect(result.request == request)
        #expect(Set(result.sites).isSubset(of: cohort))
        #expect(Set(result.sites).isSuperset(of: Set(cohort).subtracting(lost)))
        #expect(result.vector == federation.plainSum(result.sites))
      }
      #expect(federation.coordinator.keysLeft == 0)
    }
  }

  @Test func theOrderOfArrivalDoesNotMatter() throws {
    var numbers = SeededNumbers(7)
    let federation = try SumFederation(sites: 6, threshold: 4)
    try federation.setUp(sums: 4)
    federation.draw(100, &numbers)
    var vectors: Set<[UInt64]> = []
    for trial in 0..<4 {
      federation.files = [:]
      try federation.begin("sum \(trial)")
      try federation.pump(federation.sites.shuffled(using: &numbers))
      vectors.insert(try federation.run().vector)
    }
    #expect(vectors == [federation.plainSum(federation.sites)])
  }

  /// Fixed point through masks: exactly the sum of what each site rounded.
  @Test func fixedPointComesBackExactly() throws {
    let federation = try SumFederation(sites: 3, threshold: 2)
    let plan = try BitPlan(updateClip: 8, rowsBound: 1000, statisticsBound: 100, sites: 3, weightBound: 1000)
    let format = try VectorFormat(
      blocks: [
        .init(name: "update", count: 3, kind: plan.update), .init(name: "rows", count: 1, kind: plan.rowCount),
      ], sites: 3)
    try federation.coordinator.openSetUp(sums: 1)
    try federation.pump()
    _ = try federation.coordinator.begin(
      purpose: "update 1", modelHash: federation.modelHash, cohort: [1, 2, 3], format: format)
    for site in 1...3 {
      let message = try #require(try federation.coordinator.messageDue(to: site))
      guard case .upload(let request) = try federation.party(site).answer(to: message) else {
        Issue.record("expected to be asked for a vector")
        return
      }
      var vector = format.vector()
      try format.encode([0.5, -1.25, Float(site)], weight: 10 * site, block: "update", into: &vector)
      try format.encode(integers: [10 * site], block: "rows", into: &vector)
      let header = try federation.party(site).upload(
        for: request, modelHash: federation.modelHash, format: format, masking: &vector)
      try vector.withUnsafeBufferPointer {
        try federation.coordinator.receive(upload: header, vector: $0, from: site)
      }
    }
    let result = try federation.run()
    #expect(try format.decode(result.vector, block: "update") == [30, -75, 10 + 40 + 90])
    #expect(try format.decodeIntegers(result.vector, block: "rows") == [60])
  }

  @Test func keysRunOutAndASecondSetUpGoesOn() throws {
    var numbers = SeededNumbers(8)
    let federation = try SumFederation(sites: 3, threshold: 2)
    #expect(throws: SumError.noKeys) { try federation.begin("too early", cohort: [1, 2, 3]) }
    for round in 0..<2 {
      try federation.setUp(sums: 2)
      for sum in 0..<2 {
        #expect(try federation.party(1).keysLeft == 2 - sum)
        federation.draw(5, &numbers)
        let request = try federation.begin("update \(round) \(sum)")
        #expect(request.sum == UInt64(round * 2 + sum + 1))
        #expect(try federation.run().vector == federation.plainSum([1, 2, 3]))
      }
      #expect(throws: SumError.noKeys) { try federation.begin("update \(round) 3") }
    }
  }

  /// A sum that was begun and given up is begun again with the next keys, and the old upload fits no longer.
  @Test func aSumIsBegunAgainWithNewKeys() throws {
    var numbers = SeededNumbers(9)
    let federation = try SumFederation(sites: 4, threshold: 3)
    try federation.setUp(sums: 2)
    federation.draw(20, &numbers)
    federation.down = [3, 4]
    let first = try federation.begin("update 1")
    try federation.pump()
    let old = try #require(federation.files[1])
    try federation.coordinator.abandon()
    federation.down = []
    let second = try federation.begin("update 1")
    #expect(second.attempt == 2 && second.sum == first.sum + 1)
    #expect(throws: SumError.outOfOrder("an upload for another request")) {
      try old.vector.withUnsafeBufferPointer {
        try federation.coordinator.receive(upload: old.message, vector: $0, from: 1)
      }
    }
    #expect(try federation.run().vector == federation.plainSum([1, 2, 3, 4]))
    #expect(try #require(federation.files[1]).vector != old.vector)
  }

  /// Bytes of an upload of zeros against uniform: for χ² with k degrees of freedom P(X ≥ k + 2√(kx) + 2x) and P(X ≤ k − 2√(kx)) are at most
  /// e^−x (Laurent and Massart, 2000, lemma 1). With k = 255 and x = 16: 127 … 415 but for one in four million. The same vector without its
  /// mask is far outside.
  @Test func anUploadLooksUniform() throws {
    let federation = try SumFederation(sites: 3, threshold: 2)
    try federation.setUp(sums: 1)
    let count = 1 << 15
    for site in 1...3 { federation.vectors[site] = (0..<count).map { UInt64($0 % 50) } }
    try federation.begin("update 1")
    try federation.pump()
    func statistic(_ vector: [UInt64], byte: Int?) -> Double {
      var counts = [Int](repeating: 0, count: 256)
      for word in vector {
        for place in byte.map({ $0..<$0 + 1 }) ?? 0..<8 { counts[Int(word >> UInt64(8 * place) & 0xff)] += 1 }
      }
      let expected = Double(counts.reduce(0, +)) / 256
      return counts.reduce(0.0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected }
    }
    for site in 1...3 {
      let upload = try #require(federation.files[site]).vector
      for byte in [nil] + (0..<8).map(Optional.init) {
        #expect((127.0...415).contains(statistic(upload, byte: byte)))
      }
    }
    #expect(statistic(try #require(federation.vectors[1]), byte: nil) > 10_000)
    #expect(try federation.run().vector == federation.plainSum([1, 2, 3]))
  }

  /// Masked where it is, in chunks: no second vector.
  @Test func maskingMakesNoSecondVector() throws {
    let federation = try SumFederation(sites: 2, threshold: 2)
    try federation.setUp(sums: 1)
    federation.vectors = [1: [UInt64](repeating: 0, count: 10_000), 2: [UInt64](repeating: 1, count: 10_000)]
    try federation.begin("update 1")
    let message = try #require(try federation.coordinator.messageDue(to: 1))
    guard case .upload(let request) = try federation.party(1).answer(to: message) else { return }
    var vector = [UInt64](repeating: 0, count: 10_000)
    let before = vector.withUnsafeBufferPointer { $0.baseAddress }
    _ = try federation.party(1).upload(
      for: request, modelHash: federation.modelHash, format: federation.format(10_000), masking: &vector)
    #expect(vector.withUnsafeBufferPointer { $0.baseAddress } == before)
    #expect(vector.contains { $0 != 0 })
    #expect(SumMasks.chunkLength * 8 <= 1 << 16)
  }
}
