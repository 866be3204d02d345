import Foundation
import Testing

@testable import JobSpec

/// Texts of charters and site files, and a directory with the files that they name.
final class CharterFixture: Sendable {
  let directory: String

  init() throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("charter-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url.appending(path: "keys"), withIntermediateDirectories: true)
    directory = url.resolvingSymlinksInPath().path
    for name in ["aggregator", "a", "b", "c", "northeast", "south", "west", "east"] {
      try write("keys/\(name).pub", "a key\n")
    }
    try write("rows.h5", "not looked into")
    try FileManager.default.createDirectory(atPath: directory + "/model", withIntermediateDirectories: false)
    try write("model/config.json", "{}")
  }

  deinit {
    try? FileManager.default.removeItem(atPath: directory)
  }

  func write(_ name: String, _ text: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: directory + "/" + name))
  }

  func load(_ text: String, _ overrides: [String] = [], files: CharterFiles = .all) throws -> Charter.Loaded {
    try write("charter.yaml", text)
    return try Charter.load(path: directory + "/charter.yaml", overrides: overrides, files: files)
  }

  /// Every key left out that has a default.
  static let smallest = """
    name: small
    aggregator: {address: "tcp://127.0.0.1:5590", key: keys/aggregator.pub}
    sites: [{name: a, key: keys/a.pub}, {name: b, key: keys/b.pub}, {name: c, key: keys/c.pub}]
    data: {columns: [age, sex], classes: [healthy, ill]}
    task: classification
    model: {mlp: {hidden: []}}
    optimizer: {lr: 0.1}
    federation: {rounds: 3, local: {epochs: 1}}
    """

  /// `smallest` with a pretrained model.
  static let smallestTransformer = charter(
    charter(charter(smallest, with: "data: {classes: [healthy, ill]}"), with: "model: {huggingface: model}"),
    with: "federation: {rounds: 3, local: {epochs: 1}, masking: {base_model: private}}")

  /// The design's example without the section on privacy, which excludes others.
  static let example = """
    name: tcga-brca
    aggregator: {address: tcp://127.0.0.1:5590, key: keys/aggregator.pub}
    sites:                                     # the order is the order of every sum
      - {name: northeast, key: keys/northeast.pub}
      - {name: south, key: keys/south.pub}
      - {name: west, key: keys/west.pub}
      - {name: east, key: keys/east.pub}
    data:
      columns: [age_at_index, "gender: male"]
      standardize: pooled
    task: survival
    model: {mlp: {hidden: []}}
    optimizer: {name: sgd, lr: 0.01}
    schedule: {warmup: 0.1, decay: cosine}
    train: {batch: 8, micro_batch: 8, seed: 7, keep: best}
    federation:
      strategy: {name: fedyogi, server_lr: 0.2, betas: [0.8, 0.999], tau: 1.0e-8, weighting: equal}
      rounds: 5
      local: {updates: 100}
      participation: {minimum: 3, fraction: 0.75, patience: 60.5}
      fixed_point: {update_clip: 4.0, rows_bound: 1024, statistics_bound: 1.0e3}
      aggregation: secure
      threshold: 4
      masking: {strength: permutation}
      stop: {patience: 3}
    """

  /// `smallest` under privacy of sites.
  static let privateSites = charter(
    smallest,
    with:
      "federation: {rounds: 3, local: {epochs: 1}, privacy: {unit: site, clip_norm: 1.0, epsilon: 3.0, delta: 1.0e-5, colluders: 1}}"
  )

  /// A charter, whose sections are lines, with `section` replaced or added.
  static func charter(_ charter: String, with section: String) -> String { JobFixture.job(charter, with: section) }

  static func parse(_ text: String, _ overrides: [String] = []) throws(JobSpecError) -> Charter {
    try Charter.parse(
      bytes: Array(text.utf8), source: "charter.yaml", overrides: overrides, directory: "/charters",
      workingDirectory: "/working")
  }

  /// The error that a charter gives; nil when it gives none.
  static func refusal(_ text: String, _ overrides: [String] = []) -> JobSpecError? {
    do throws(JobSpecError) {
      _ = try parse(text, overrides)
      return nil
    } catch {
      return error
    }
  }

  static func site(
    _ text: String, of charter: Charter, _ overrides: [String] = []
  ) throws(JobSpecError) -> SiteSpecification {
    try SiteSpecification.parse(
      bytes: Array(text.utf8), source: "site.yaml", overrides: overrides, directory: "/sites",
      workingDirectory: "/working", charter: charter)
  }

  static func siteRefusal(_ text: String, of charter: String, _ overrides: [String] = []) throws -> JobSpecError? {
    let charter = try parse(charter)
    do throws(JobSpecError) {
      _ = try site(text, of: charter, overrides)
      return nil
    } catch {
      return error
    }
  }
}

extension JobSpecError? {
  /// It is a contradiction at this line that says these words.
  func expectContradiction(_ words: String, line: Int?, sourceLocation: Testing.SourceLocation = #_sourceLocation) {
    guard case .contradiction(let sentence)? = self?.reason else {
      Issue.record("\(String(describing: self))", sourceLocation: sourceLocation)
      return
    }
    #expect(sentence.contains(words), "\(sentence)", sourceLocation: sourceLocation)
    #expect(self?.location?.line == line, sourceLocation: sourceLocation)
  }
}
