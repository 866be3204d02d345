import Datasets
import Federation
import Foundation
import Foundations
import Models
import Numerics
import OwnerRole
import TestSupport
import Testing

@testable import SiteRole

/// Federations of each task on rows of features, masked and secure, against the same in the clear.
@Suite struct TaskFederationTests {
  private static let split = "split: {validation: 0.3, seed: 1}"
  private static let rows = [30, 41, 26]
  // Twelve steps in single precision, and rotations that round each number of a round a few times.
  private static let tolerance = 1e-5

  /// Features and whatever labels a test writes.
  private func write(_ federation: SmallFederation, labels: (HDF5Writer, Int, [[Double]]) throws -> Void) throws {
    for site in federation.rows.indices {
      let features = federation.values(of: site).features
      let writer = try HDF5Writer(path: federation.directory.file("rows\(site).h5"))
      try writer.createMatrix("x", columns: 3, of: Float.self)
      try writer.append(features.flatMap { $0.map { Float($0) } }, to: "x")
      try writer.write([10, 20, 30] as [Int64], to: "columns")
      try labels(writer, site, features)
      try writer.commit()
    }
  }

  private func siteData(_ labels: String) -> [String] {
    Self.rows.indices.map { "{file: rows\($0).h5, features: x, columns: columns, \(labels), \(Self.split)}" }
  }

  @Test func `Classes: macro F1 is the mean of the sites' own, weighted by validation rows`() throws {
    let federation = try SmallFederation(
      rows: Self.rows, task: "classification", rounds: 4, strategy: "{name: fedavgm, momentum: 0.5}")
    let comparison = try ClearComparison(federation, tolerance: Self.tolerance)
    let last = try #require(comparison.records.last)
    #expect(last.purpose == "evaluation 4")
    let shape = try federation.data(0).prepared.shape
    let stored = try ModelDirectory(federation.runDirectory(0).run.model).weights(shape)
    let tensor: Tensor<Double> = try stored.tensor(shape.structure.parameters[0])
    var (sum, rows) = (0.0, 0)
    for site in federation.rows.indices {
      let (features, targets) = federation.values(of: site)
      let held = try federation.data(site).prepared.split.validation
      let pairs = held.map { row -> (label: Int, guess: Int) in
        let scores = (0..<2).map { label in
          (features[row] + [1]).enumerated().reduce(0) {
            $0 + tensor.elements[label * tensor.columns + $1.offset] * $1.element
          }
        }
        return (targets[row] > 0.5 ? 1 : 0, scores[1] > scores[0] ? 1 : 0)
      }
      let scores = (0..<2).compactMap { label -> Double? in
        let hits = pairs.count { $0.label == label && $0.guess == label }
        let misses = pairs.count { ($0.label == label) != ($0.guess == label) }
        return hits + misses == 0 ? nil : Double(2 * hits) / Double(2 * hits + misses)
      }
      sum += scores.reduce(0, +) / Double(scores.count) * Double(held.count)
      rows += held.count
    }
    #expect(last.validationRows == rows)
    // A metric travels as a fixed-point number of at least 30 bits behind the point.
    #expect(abs((last.means["macro_f1"] ?? .nan) - sum / Double(rows)) < 1e-8)
  }

  @Test func `Several labels a row, some of them missing`() throws {
    let federation = try SmallFederation(
      rows: Self.rows, task: "multilabel", rounds: 4, hidden: "[4]", siteData: siteData("labels: tasks"))
    try write(federation) { writer, _, features in
      try writer.createMatrix("tasks", columns: 2, of: Float.self)
      for (row, values) in features.enumerated() {
        let tasks: [Float] = [values[0] > values[1] ? 1 : 0, row % 5 == 0 ? .nan : values[2] > 0 ? 1 : 0]
        try writer.append(tasks, to: "tasks")
      }
    }
    let comparison = try ClearComparison(federation, tolerance: Self.tolerance)
    #expect((comparison.records.last?.means["roc_auc"] ?? 0) > 0)
  }

  private func survival(events: @escaping (_ site: Int, _ row: Int) -> Int64) throws -> SmallFederation {
    let federation = try SmallFederation(
      rows: Self.rows, task: "survival", rounds: 4, strategy: "{name: fedyogi, server_lr: 0.05, tau: 1.0e-3}",
      strength: "permutation", siteData: siteData("time: days, event: event"))
    try write(federation) { writer, site, features in
      try writer.write(features.map { Float(exp(0.8 * $0[0] - 0.5 * $0[1]) * 100) }, to: "days")
      try writer.write(features.indices.map { events(site, $0) }, to: "event")
    }
    return federation
  }

  @Test func `Times to an event, some of them censored`() throws {
    let comparison = try ClearComparison(
      survival { _, row in row % 3 == 0 ? 0 : 1 }, tolerance: Self.tolerance)
    let concordance = comparison.records.compactMap { $0.means["concordance"] }
    #expect(concordance.count == 5 && concordance.allSatisfy { $0 > 0 && $0 < 1 })
  }

  @Test func `A site without events is refused by the name of its column before it joins`() throws {
    let federation = try survival { site, _ in site == 1 ? 0 : 1 }
    _ = try federation.data(0)
    let error = #expect(throws: DatasetError.self) { _ = try federation.data(1) }
    #expect(error?.kind == .inputData)
    let text = error?.description ?? ""
    #expect(text.contains("rows1.h5") && text.contains("event") && text.contains("no row has an event"), "\(text)")
  }
}
