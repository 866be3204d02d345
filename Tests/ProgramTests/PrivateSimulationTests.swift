import Foundation
import TestSupport
import Testing

/// `encryptor simulate --secrets-of`: the noise of a run once more, on that run's rows alone.
@Suite(.waiting)
struct PrivateSimulationTests {
  private let site: Site

  init() throws {
    site = try Site(keys: false)
    try site.makeFederationKeys(["a", "b"])
    for name in ["a", "b"] {
      try write(name)
      try site.write(
        "name: \(name)\ndata: {file: \(name).h5, features: X, labels: y}\nthreads: 1\n", to: "\(name).yaml")
    }
    try site.write(
      """
      name: private
      aggregator: {address: "tcp://127.0.0.1:5590", key: aggregator/aggregator.pub}
      sites: [{name: a, key: a/owner.pub}, {name: b, key: b/owner.pub}]
      data: {columns: [CD4, CD8A, MS4A1, NKG7], classes: ["0", "1", "2"]}
      task: classification
      model: {mlp: {hidden: []}}
      optimizer: {lr: 0.05, momentum: 0}
      train: {batch: 16, keep: last}
      federation:
        rounds: 2
        local: {updates: 3}
        fixed_point: {update_clip: 64}
        masking: {strength: none}
        privacy: {unit: record, clip_norm: 1, epsilon: 5, delta: 1.0e-5}
      """, to: "charter.yaml")
  }

  /// - Parameter change: what is added to one value.
  private func write(_ name: String, change: Float = 0) throws {
    let rows = DataFile(
      rows: 60,
      feature: { row, column in
        Float((row * 37 + column * 11) % 23) / 23 + (row == 7 && column == 2 ? change : 0)
      })
    try AnnDataFile(data: rows).write(to: site["\(name).h5"])
  }

  private func simulate(_ output: String, _ options: [String] = []) throws -> Ended {
    try site.run(
      .encryptor, ["simulate", "charter.yaml", "a.yaml", "b.yaml", "--out", output, "--threads", "1"] + options)
  }

  @Test func secretsOfARunServeItsOwnRowsAlone() throws {
    let first = try simulate("first")
    try #require(first.code == 0, "\(first.errors)")
    let again = try simulate("again", ["--secrets-of", "first"])
    try #require(again.code == 0, "\(again.errors)")
    let model = try site.bytes("first/a/model/model.safetensors")
    #expect(try site.bytes("again/a/model/model.safetensors") == model)
    try write("b", change: 0.25)
    try simulate("other", ["--secrets-of", "first"])
      .expectRefusal(2, saying: "whose secret is to be used again: the features differ", afterProgress: true)
    #expect(try site.bytes("other/b/state/ledger.jsonl").split(separator: 0x0A).count == 1)
  }

  @Test func aRunThatDoesNotSayItsRowsIsRefused() throws {
    let first = try simulate("first")
    try #require(first.code == 0, "\(first.errors)")
    try FileManager.default.removeItem(atPath: site["first/a/state/data.json"])
    try simulate("other", ["--secrets-of", "first"])
      .expectRefusal(2, saying: "which the run has not kept", afterProgress: true)
  }
}
