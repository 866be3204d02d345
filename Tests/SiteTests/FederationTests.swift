import AggregatorRole
import Cryptography
import Federation
import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import OwnerRole
import Protocol
import SecureSums
import Service
import Synchronization
import TestSupport
import Testing

@testable import SiteRole

/// Sites and their aggregator in one process, with real messages, masks and sums.
@Suite struct FederationTests {
  /// One step of gradient descent a round on the training rows of all sites together, in double precision.
  private func pooled(_ federation: SmallFederation, rounds: Int, rate: Double) throws -> [Double] {
    let shape = try federation.data(0).prepared.shape
    let start: Tensor<Double> = try shape.startingWeights(
      secret: PreparedSite.startingSecret(federation.plan, federation.group)
    ).tensor(shape.structure.parameters[0])
    var model = Array(start.elements[..<4])
    var rows: [([Double], Double)] = []
    for site in federation.rows.indices {
      let (features, targets) = federation.values(of: site)
      rows += try federation.data(site).prepared.split.training.map { (features[$0], targets[$0]) }
    }
    for _ in 0..<rounds {
      var gradient = [0.0, 0, 0, 0]
      for (features, target) in rows {
        let output = zip(model, features).reduce(model[3]) { $0 + $1.0 * $1.1 }
        let slope = 2 * (output - target) / Double(rows.count)
        for column in 0..<3 { gradient[column] += slope * features[column] }
        gradient[3] += slope
      }
      for place in 0..<4 { model[place] -= rate * gradient[place] }
    }
    return model
  }

  @Test(arguments: ["rotation", "permutation"])
  func `One full step a round, weighted by rows, is gradient descent on all rows together`(strength: String) throws {
    let federation = try SmallFederation(rows: [17, 40, 9, 23], rounds: 6, local: "{full: true}", strength: strength)
    for result in try federation.run() { _ = try result.get() }
    let expected = try pooled(federation, rounds: 6, rate: 0.05)
    let largest = expected.map { abs($0) }.max() ?? 1
    for site in federation.rows.indices {
      let found = try federation.weights(site: site)
      // Six steps in single precision and of the fixed point's 2^-40, masked twice each: units in the last place of numbers of order 1.
      for (a, b) in zip(found, expected) { #expect(abs(a - b) <= 1e-6 * largest) }
      #expect(found == (try federation.weights(site: 0)))
    }
  }

  /// One step of gradient descent a round on the weighted cross-entropy of all sites' training rows, in double precision: [W | b] of a class,
  /// one after the other.
  private func pooledClasses(_ federation: SmallFederation, rounds: Int, rate: Double) throws -> [Double] {
    let shape = try federation.data(0).prepared.shape
    let start: Tensor<Double> = try shape.startingWeights(
      secret: PreparedSite.startingSecret(federation.plan, federation.group)
    ).tensor(shape.structure.parameters[0])
    var model = (0..<2).map { Array(start.elements[$0 * start.columns..<$0 * start.columns + 4]) }
    var rows: [(features: [Double], label: Int)] = []
    for site in federation.rows.indices {
      let (features, targets) = federation.values(of: site)
      rows += try federation.data(site).prepared.split.training.map { (features[$0], targets[$0] > 0.5 ? 1 : 0) }
    }
    let weights = (0..<2).map { label in Double(rows.count) / Double(2 * rows.count { $0.label == label }) }
    for _ in 0..<rounds {
      var gradient = [[0.0, 0, 0, 0], [0.0, 0, 0, 0]]
      for row in rows {
        let exponentials = model.map { exp(zip($0, row.features).reduce($0[3]) { $0 + $1.0 * $1.1 }) }
        for label in 0..<2 {
          let probability = exponentials[label] / (exponentials[0] + exponentials[1])
          let slope = weights[row.label] * (probability - (label == row.label ? 1 : 0)) / Double(rows.count)
          for column in 0..<3 { gradient[label][column] += slope * row.features[column] }
          gradient[label][3] += slope
        }
      }
      for label in 0..<2 {
        for place in 0..<4 { model[label][place] -= rate * gradient[label][place] }
      }
    }
    return model.flatMap(\.self)
  }

  @Test func `Balanced classes weigh by the rows of all sites, so that full steps are descent on the weighted loss`()
    throws
  {
    let federation = try SmallFederation(
      rows: [17, 40, 9, 23], task: "classification", rounds: 6, local: "{full: true}",
      settings: ["class_weights: balanced"])
    for result in try federation.run() { _ = try result.get() }
    let expected = try pooledClasses(federation, rounds: 6, rate: 0.05)
    let shape = try federation.data(0).prepared.shape
    let stored = try ModelDirectory(federation.runDirectory(0).run.model).weights(shape)
    let tensor: Tensor<Double> = try stored.tensor(shape.structure.parameters[0])
    let found = (0..<2).flatMap { tensor.elements[$0 * tensor.columns..<$0 * tensor.columns + 4] }
    let largest = expected.map { abs($0) }.max() ?? 1
    // As above: single precision, and masks that round twice a round.
    for (a, b) in zip(found, expected) { #expect(abs(a - b) <= 1e-6 * largest) }
    #expect(try SiteHistory(federation.runDirectory(0)).records.first?.purpose == "class counts")
  }

  @Test func `Plain sums lead every site to the same model too`() throws {
    let federation = try SmallFederation(rows: [17, 40, 9, 23], rounds: 6, local: "{full: true}", aggregation: "plain")
    for result in try federation.run() { _ = try result.get() }
    let expected = try pooled(federation, rounds: 6, rate: 0.05)
    let largest = expected.map { abs($0) }.max() ?? 1
    for site in federation.rows.indices {
      for (a, b) in zip(try federation.weights(site: site), expected) { #expect(abs(a - b) <= 1e-6 * largest) }
    }
  }

  @Test func `Every site has the same history of sums, and no other site's numbers`() throws {
    let federation = try SmallFederation(rounds: 2, standardize: "pooled")
    for result in try federation.run() { _ = try result.get() }
    let texts = try federation.rows.indices.map {
      try String(contentsOf: federation.runDirectory($0).run.history, encoding: .utf8)
    }
    #expect(Set(texts).count == 1)
    let records = try SiteHistory(federation.runDirectory(0)).records
    #expect(records.map(\.purpose) == ["means", "deviations", "update 0", "update 1", "evaluation 2"])
    // 17, 40 and 9 rows, one in five held out: 14 + 32 + 7.
    #expect(records[2].trainingRows == 53 && records[2].weight == 53)
    #expect(records[2].survivors == ["site0", "site1", "site2"])
    #expect(records[4].means["rmse"] != nil)
  }

  /// Whoever comes first: no model of it is taken.
  @Test(arguments: [0, 1, 2]) func `A site with another group key is told so by name before a model is masked by it`(
    site: Int
  ) throws {
    let federation = try SmallFederation()
    let results = try federation.run(groups: [site: GroupKey()])
    guard case .failure(let error) = results[site], case .refused(let kind, let reason)? = error as? SiteError else {
      Issue.record("\(results[site])")
      return
    }
    #expect(kind.exitCode == 4 && SiteError.refused(kind: kind, reason: reason).kind == kind)
    let others = (0..<3).filter { $0 != site }.map { "site\($0)" }.joined(separator: ", ")
    #expect(reason.contains("site site\(site) has another group key than \(others)"), "\(reason)")
    for other in federation.rows.indices {
      #expect(try SiteHistory(federation.runDirectory(other)).records.isEmpty)
    }
  }

  @Test func `A check of a group key is of the key and the charter, and is none of what is derived from it`() throws {
    let (first, second) = (try SmallFederation(), try SmallFederation(rounds: 3))
    let (key, other) = (GroupKey(), GroupKey())
    let check = key.check(charter: first.plan.digest)
    #expect(check == key.check(charter: first.plan.digest))
    #expect(check != key.check(charter: second.plan.digest) && check != other.check(charter: first.plan.digest))
    let start = key.startingWeights(charter: first.plan.digest).withUnsafeBytes { Array($0).hexadecimal }
    #expect(check.utf8.count == 64 && check != start)
  }

  @Test func `A run directory is of one charter, one site and one key`() throws {
    let federation = try SmallFederation()
    let place = federation.runDirectory(0)
    try place.open(federation.plan, site: 0, resuming: false)
    try place.open(federation.plan, site: 0, resuming: true)
    try place.store(sums: UnsafeRawBufferPointer(start: nil, count: 0))
    #expect(throws: SiteError.self) { try place.open(federation.plan, site: 0, resuming: false) }
    #expect(throws: SiteError.self) { try place.open(federation.plan, site: 1, resuming: true) }
    let other = try SmallFederation()
    #expect(throws: SiteError.self) { try place.open(other.plan, site: 0, resuming: true) }
    #expect(throws: SiteError.self) { try federation.runDirectory(1).open(federation.plan, site: 1, resuming: true) }
  }
}
