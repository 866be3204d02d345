import Foundation
import Testing

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
    try FileManager.default.createDirectory(atPath: directory + "/model", withIntermediateDirectories: false)
    try Data("{}".utf8).write(to: URL(fileURLWithPath: directory + "/model/config.json"))
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

  /// The smallest job with a pretrained model.
  static let smallestTransformer = """
    name: small
    data: {file: rows.h5, tokens: ids, labels: y}
    task: classification
    model: {huggingface: model}
    masking: {base_model: private}
    optimizer: {lr: 0.1}
    """

  /// A pretrained model with every key given.
  static let transformer = """
    name: sections
    trainer: tcp://127.0.0.1:5570
    data: {file: rows.h5, tokens: input_ids, mask: attention_mask, types: token_type_ids, labels: labels,
           split: {by: abstract, modulo: 5, equals: 4}, standardize: false}
    task: classification
    model:
      huggingface: model
      head: {pool: mean, classes: 4}
      train: lora
      lora: {rank: 4, alpha: 32, targets: [value, query]}
    masking: {strength: rotation, padding: 0, exact: true, shuffle_tokens: true, base_model: private}
    loss: {where: owner}
    optimizer: {name: sgd, lr: 3e-2, momentum: 0.9, nesterov: false, weight_decay: 0.0, clip_norm: 1.0}
    schedule: {warmup: 0.06, decay: linear}
    train: {epochs: 2, batch: 32, accumulate: 2, micro_batch: 8, recompute: true, seed: 1, keep: best}
    checkpoint: {every_steps: 100}
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

  /// A job with every defence and every bound on an audit.
  static let defended = """
    name: tox21
    data: {file: rows.h5, features: fingerprints, labels: labels}
    task: multilabel
    model: {mlp: {hidden: [512, 128], activation: relu}}
    masking: {strength: rotation, adapter: {width: 256}, noise: {sigma: 0.25}}
    optimizer: {lr: 0.2}
    audit:
      gate:
        known_rows_min: 32
        spectral_recovery_max: 0.11
        source_separation_max: 0.12
        linkage_max: 0.13
        key_error_min: 1.5
        token_recovery_max: 0.05
        label_information_max: 0.14
        matching_max: 0.6
        membership_max: 0.015
        repeated_questions_max: 0.3
        copies_error_min: 0.5
        cache_max: 0.25
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
  static func smallest(with section: String) -> String { job(smallest, with: section) }

  /// `job`, whose sections are lines, with `section` replaced or added.
  static func job(_ job: String, with section: String) -> String {
    let name = section.prefix { $0 != ":" } + ":"
    let kept = job.split(separator: "\n").filter { !$0.hasPrefix(name) }
    return (kept + [section[...]]).joined(separator: "\n")
  }
}

/// What several suites ask of the error that a job gives.
extension JobSpecError? {
  /// It says which type was due at its key and which came.
  func expectWrongType(_ expected: String, _ found: String, sourceLocation: Testing.SourceLocation = #_sourceLocation) {
    guard case .wrongType(_, let needed, let given)? = self?.reason else {
      Issue.record("\(String(describing: self))", sourceLocation: sourceLocation)
      return
    }
    #expect(needed == expected, sourceLocation: sourceLocation)
    #expect(given == found, sourceLocation: sourceLocation)
  }

  /// It states its key's range, which begins so, as the schema documents it.
  func expectOutOfRange(
    _ range: String, in schema: SpecificationSchema = .job, sourceLocation: Testing.SourceLocation = #_sourceLocation
  ) {
    guard case .outOfRange(let key, let stated)? = self?.reason else {
      Issue.record("\(String(describing: self))", sourceLocation: sourceLocation)
      return
    }
    #expect(stated.hasPrefix(range), "\(stated)", sourceLocation: sourceLocation)
    #expect(stated == schema.fields[key]?.range, sourceLocation: sourceLocation)
  }
}
