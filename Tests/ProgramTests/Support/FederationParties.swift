import Foundation
import Testing

/// A federation of three sites, a, b and c, with keys, rows, site files and a charter in one directory, and the arguments of each party's program.
struct FederationParties {
  let site: Site
  /// Where the aggregator listens, as the charter has it.
  let address: String
  static let names = ["a", "b", "c"]

  /// - Parameters: as of `writeCharter`.
  init(
    local: String = "{updates: 40}", rounds: Int = 3, participation: String = "{minimum: 3, patience: 120}",
    settings: String = ""
  ) throws {
    site = try Site(keys: false)
    address = Site.unusedEndpoint()
    try site.makeFederationKeys(Self.names)
    for (name, shift) in zip(Self.names, [0, 5, 11]) {
      let rows = DataFile(
        rows: 60 + shift,
        feature: { row, column in
          Float(((row + shift) * 37 + column * 11) % 23) / 23 - 0.5 + (column == row % 3 ? 1 : 0)
        })
      try AnnDataFile(data: rows).write(to: site["\(name).h5"])
      try site.write(
        "name: \(name)\ndata: {file: \(name).h5, features: X, labels: y}\nthreads: 1\n", to: "\(name).yaml")
    }
    #expect(try site.encryptor("group-key", "group").code == 0)
    try writeCharter(local: local, rounds: rounds, participation: participation, settings: settings)
  }

  /// - Parameter settings: further keys of `federation`.
  func writeCharter(
    strategy: String = "fedavg", local: String = "{updates: 40}", rounds: Int = 3,
    participation: String = "{minimum: 3, patience: 120}", settings: String = ""
  ) throws {
    try site.write(
      """
      name: three
      aggregator: {address: "\(address)", key: aggregator/aggregator.pub}
      sites: [{name: a, key: a/owner.pub}, {name: b, key: b/owner.pub}, {name: c, key: c/owner.pub}]
      data: {columns: [CD4, CD8A, MS4A1, NKG7], classes: ["0", "1", "2"]}
      task: classification
      model: {mlp: {hidden: [5], activation: tanh}}
      optimizer: {lr: 0.05, momentum: 0}
      train: {batch: 16}
      federation: {rounds: \(rounds), local: \(local), strategy: {name: \(strategy)}, participation: \(participation)\(settings)}
      """, to: "charter.yaml")
  }

  /// Arguments of a site's part in the directory `run-NAME`, or another.
  func join(_ name: String, _ options: String..., out: String? = nil) -> [String] {
    [
      "join", "\(name).yaml", "--charter", "charter.yaml", "--keys", name, "--group-key", "group/group.key", "--out",
      out ?? "run-\(name)",
    ] + options
  }

  let serve = ["serve", "--keys", "aggregator", "--charter", "charter.yaml", "--store", "aggregator-store"]

  /// Runs all parties in one process, in the directory `simulated`.
  func simulate() throws {
    let simulated = try site.encryptor(
      "simulate", "charter.yaml", "a.yaml", "b.yaml", "c.yaml", "--group-key", "group/group.key", "--out", "simulated",
      "--threads", "1")
    try #require(simulated.code == 0, "\(simulated.errors)")
  }

  /// That a site's model is the one that `simulate` gave it, file by file and byte by byte.
  func expectBitsOfSimulation(_ name: String, run: String? = nil, location: SourceLocation = #_sourceLocation) throws {
    let files = try FileManager.default.subpathsOfDirectory(atPath: site["simulated/\(name)/model"]).sorted()
    #expect(files.contains("model.safetensors"), sourceLocation: location)
    for file in files {
      #expect(
        try site.bytes("\(run ?? "run-\(name)")/model/\(file)") == site.bytes("simulated/\(name)/model/\(file)"),
        "\(name): \(file)", sourceLocation: location)
    }
  }
}

extension Site {
  /// A key pair for each site, in a directory of its name, and one for the aggregator in `aggregator`.
  func makeFederationKeys(_ names: [String] = FederationParties.names) throws {
    for name in names { #expect(try encryptor("keygen", name).code == 0) }
    #expect(try run(.aggregator, ["keygen", "aggregator"]).code == 0)
  }

  /// Writes `charter.yaml` of the sites a, b and c, with a linear model of two columns and classes and no rows anywhere.
  ///
  /// - Parameters:
  ///   - federation: the section's content.
  ///   - train: that section's.
  func writeLinearCharter(_ federation: String, train: String = "{}") throws {
    try write(
      """
      name: three
      aggregator: {address: "tcp://127.0.0.1:5590", key: aggregator/aggregator.pub}
      sites: [{name: a, key: a/owner.pub}, {name: b, key: b/owner.pub}, {name: c, key: c/owner.pub}]
      data: {columns: [age, sex], classes: [healthy, ill]}
      task: classification
      model: {mlp: {hidden: []}}
      optimizer: {lr: 0.1}
      train: \(train)
      federation: {\(federation)}
      """, to: "charter.yaml")
  }
}
