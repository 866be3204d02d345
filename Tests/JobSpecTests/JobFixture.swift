import Foundation

@testable import JobSpec

/// A directory with a data file and the texts of jobs that use it.
final class JobFixture: Sendable {
  let directory: String

  init() throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("job-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    // The temporary directory may itself be reached through a link, which resolved jobs follow.
    directory = url.resolvingSymlinksInPath().path
    try Data("not looked into".utf8).write(to: URL(fileURLWithPath: directory + "/rows.h5"))
  }

  deinit {
    try? FileManager.default.removeItem(atPath: directory)
  }

  /// The smallest job: every key left out that has a default.
  static let smallest = """
    name: small
    data: {file: rows.h5, features: x, labels: y}
    task: classification
    model: {mlp: {hidden: []}}
    optimizer: {lr: 0.1}
    """

  /// The interface's example, every key given.
  static let example = """
    name: tox21
    trainer: tcp://127.0.0.1:5570
    data:
      file: rows.h5
      features: fingerprints            # a comment
      labels: labels
      split: {validation: 0.2, seed: 7}
      standardize: false
    task: multilabel
    model:
      mlp: {hidden: [512, 128], activation: relu}
    masking: {strength: rotation, padding: 1}
    loss: {where: owner}
    optimizer: {name: sgd, lr: 0.2, momentum: 0.9, weight_decay: 0.0, clip_norm: 1.0}
    schedule: {warmup: 0.06, decay: linear}
    train: {epochs: 8, batch: 64, micro_batch: 16, seed: 1, keep: best}
    checkpoint: {every_steps: 100}
    """

  func resolve(_ text: String, _ overrides: [String] = []) throws(JobSpecError) -> ResolvedJob {
    try JobSpecification.parse(bytes: Array(text.utf8), source: "job.yaml", overrides: overrides)
      .resolved(jobDirectory: directory, workingDirectory: directory)
  }

  /// The error that resolving `text` gives; nil when it gives none.
  static func refusal(_ text: String, _ overrides: [String] = []) -> JobSpecError? {
    do throws(JobSpecError) {
      _ = try JobSpecification.parse(bytes: Array(text.utf8), source: "job.yaml", overrides: overrides)
        .resolved(jobDirectory: "/nowhere", workingDirectory: "/nowhere", checkFiles: false)
      return nil
    } catch {
      return error
    }
  }

  /// `smallest` with `section` replaced or added.
  static func smallest(with section: String) -> String {
    let name = section.prefix { $0 != ":" } + ":"
    let kept = smallest.split(separator: "\n").filter { !$0.hasPrefix(name) }
    return (kept + [section[...]]).joined(separator: "\n")
  }
}
