import Federation
import Foundation
import Models
import TestSupport
import Testing

@testable import SiteRole

/// Federations of low-rank adapters on small pretrained models, masked and secure, against the same in the clear.
@Suite struct TransformerFederationTests {
  // Sums of eight products through two blocks, each masked and unmasked: some dozen roundings of a float a step, twelve steps.
  private static let tolerance = 1e-5

  /// - Parameters:
  ///   - family: of the checkpoint.
  ///   - model: further keys of `model`.
  ///   - data: of the charter.
  ///   - labels: further keys of a site's data.
  private func federation(
    _ family: TinyFamily, task: String, model: String, data: String, labels: String, strategy: String
  ) throws -> SmallFederation {
    let rows = [24, 30, 18]
    let federation = try SmallFederation(
      rows: rows, task: task, rounds: 4, strategy: strategy, strength: "rotation",
      model: "{huggingface: \(family.rawValue), train: lora, \(model)}", data: data,
      siteData: rows.indices.map {
        "{file: tokens\($0).h5, tokens: ids, mask: mask\(labels), split: {validation: 0.2, seed: 1}}"
      }, masking: ", base_model: public")
    for (site, count) in rows.enumerated() {
      _ = try TokenData(in: federation.directory, rows: count, name: "tokens\(site)", seed: UInt64(40 + site))
    }
    try TinyCheckpoint.write(family, to: federation.directory.url(family.rawValue))
    return federation
  }

  @Test(arguments: ["{name: fedavg, weighting: rows}", "{name: scaffold}"])
  func `A BERT with adapters and a head`(strategy: String) throws {
    let comparison = try ClearComparison(
      federation(
        .bert, task: "classification",
        model: "lora: {rank: 2, alpha: 4, targets: [query, value]}, head: {pool: cls, classes: 3}",
        data: "{classes: [a, b, c]}", labels: ", types: types, labels: labels", strategy: strategy),
      tolerance: Self.tolerance)
    #expect(comparison.records.last?.means["macro_f1"] != nil)
  }

  @Test func `A Llama with adapters, as a language model`() throws {
    let comparison = try ClearComparison(
      federation(
        .llama, task: "causal-lm", model: "lora: {rank: 2, alpha: 4, targets: [q_proj, v_proj]}", data: "{}",
        labels: "",
        strategy: "{name: fedavg, weighting: equal}"),
      tolerance: Self.tolerance)
    #expect(comparison.records.last?.means["accuracy"] != nil)
  }
}
