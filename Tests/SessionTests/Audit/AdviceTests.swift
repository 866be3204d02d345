import Models
import LeakAudit
import Foundation
import JobSpec
import Masking
import OwnerRole
import Testing
import TestSupport

/// What an audit advises is something the job can be told, and what its plan does not refuse.
@Suite struct AdviceTests {
  private static let examples = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../jobs")
    .standardized

  /// The examples and what owners may have made of them.
  private static let cases: [(String, [[String]])] = [
    ("pbmc.yaml", features + [["model.mlp.hidden=[4096]"], ["model.mlp.hidden=[4096]", "masking.padding=0"]]),
    ("tox21.yaml", features + [["data.standardize=true"]]),
    ("pubmed-minilm.yaml", tokens + [["masking.shuffle_tokens=false", "masking.base_model=private"]]),
    ("llama-lora.yaml", tokens + [["loss.where=owner"]]),
  ]
  private static let features = [
    [], ["masking.strength=none"], ["masking.strength=permutation"], ["masking.strength=input-only"],
    ["optimizer={name: adamw, lr: 0.001}", "masking.strength=permutation"],
    ["optimizer={name: adamw, lr: 0.001}", "masking.strength=none"], ["loss.where=trainer"],
    ["masking.noise.sigma=0.1"], ["masking.noise.sigma=1000"], ["masking.padding=0", "masking.adapter.width=64"],
    ["train.epochs=1"],
  ]
  private static let tokens = [
    [], ["masking.base_model=private"], ["masking.strength=none"], ["masking.strength=permutation"],
    ["optimizer={name: adamw, lr: 0.001}", "masking.strength=permutation"], ["masking.noise.sigma=0.5"],
  ]

  private let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
    for family in TinyFamily.allCases {
      try TinyCheckpoint.write(family, to: directory.url(family.rawValue))
    }
  }

  /// The job with the sizes of its data made up, and a checkpoint of its family that is small.
  private func shape(_ example: String, _ overrides: [String]) throws -> JobShape {
    var checkpoint: [String] = []
    if example == "pubmed-minilm.yaml" { checkpoint = ["model.huggingface=\(directory.url("bert").path)"] }
    if example == "llama-lora.yaml" { checkpoint = ["model.huggingface=\(directory.url("llama").path)"] }
    let job = try ResolvedJob.load(
      path: Self.examples.appending(path: example).path, overrides: checkpoint + overrides, checkFiles: false)
    let isText = !checkpoint.isEmpty
    return try JobShape(
      job: job,
      data: DataShape(
        features: isText ? 0 : 765, maximumTokens: isText ? 12 : nil,
        outputs: job.task == .causalLanguageModel ? TinyCheckpoint.vocabulary : 4, classNames: nil,
        labelsMissing: job.task == .multilabel))
  }

  @Test(arguments: cases.map(\.0), [0, 1e-3, 0.3, 1, 1e5])
  func everyChangeIsOneThatTheJobsPlanAllows(_ example: String, _ deviation: Double) throws {
    let variants = try #require(Self.cases.first { $0.0 == example }).1
    for variant in variants {
      let before = try shape(example, variant)
      let traits = before.traits(rows: 100)
      for attack in AttackKind.allCases {
        let advice = Advice(on: attack, for: traits, deviation: deviation)
        #expect(!advice.text.isEmpty)
        guard !advice.changes.isEmpty else { continue }
        do {
          let after = try shape(example, variant + advice.changes)
          #expect(after.job != before.job, "\(example) \(variant) \(attack): \(advice.changes) changes nothing")
          if advice.changes.contains(where: { $0.hasPrefix("masking.strength=") }) {
            #expect(after.keyPlan.input.group > before.keyPlan.input.group, "\(example) \(variant) \(attack)")
          }
        } catch {
          Issue.record("\(example) \(variant) \(attack): \(advice.changes) is refused: \(error)")
        }
      }
    }
  }

  private func advice(_ attack: AttackKind, _ example: String, _ overrides: String..., deviation: Double = 1) throws
    -> [String]
  {
    Advice(on: attack, for: try shape(example, overrides).traits(rows: 100), deviation: deviation).changes
  }

  /// 4,096 units over 765 columns are open to separation, 512 or 128 are not; padding's zeros would show through an adapter.
  @Test func anAdapterIsAdvisedWhereTheFirstLayerGivesTheKeyAway() throws {
    #expect(
      try advice(.sourceSeparation, "pbmc.yaml", "model.mlp.hidden=[4096]") == [
        "masking.adapter.width=765", "masking.padding=0", "masking.noise.sigma=0.5",
      ])
    #expect(try advice(.sourceSeparation, "pbmc.yaml") == ["masking.noise.sigma=0.5"])
    #expect(try advice(.sourceSeparation, "tox21.yaml") == ["masking.noise.sigma=0.5"])
  }

  @Test func noiseIsOfTheDatasSizeAndMoreThanThereIs() throws {
    #expect(try advice(.linkage, "tox21.yaml", deviation: 0.123) == ["masking.noise.sigma=0.12"])
    #expect(
      try advice(.linkage, "tox21.yaml", "masking.noise.sigma=0.4", deviation: 0.123) == ["masking.noise.sigma=0.8"])
    #expect(try advice(.linkage, "tox21.yaml", "masking.noise.sigma=1000").isEmpty)
    #expect(
      try advice(.linkage, "tox21.yaml", deviation: 1e5) == ["data.standardize=true", "masking.noise.sigma=1.0"])
    #expect(try advice(.linkage, "tox21.yaml", "data.standardize=true", deviation: 1e5).isEmpty)
  }

  @Test func aSecretOrderIsAdvisedWhereTokensStandInTheirs() throws {
    let visible = ["masking.base_model=private", "masking.shuffle_tokens=false"]
    #expect(
      try advice(.tokenMatching, "pubmed-minilm.yaml", visible[0], visible[1]).first == "masking.shuffle_tokens=true")
    #expect(try advice(.tokenMatching, "pubmed-minilm.yaml", visible[0]) == ["masking.noise.sigma=1.0"])
    #expect(try advice(.tokenMatching, "llama-lora.yaml", visible[0]) == ["masking.noise.sigma=1.0"])
  }

  /// BERT's norms leave its token vectors a permutation whatever the strength: none stronger is named.
  @Test func noStrengthIsAdvisedThatTheModelDoesNotAllow() throws {
    #expect(try advice(.knownRows, "pubmed-minilm.yaml") == ["masking.noise.sigma=0.25"])
    #expect(
      try advice(.knownRows, "pbmc.yaml", "masking.strength=permutation").first == "masking.strength=rotation")
    #expect(try advice(.baseWeights, "pubmed-minilm.yaml").isEmpty)
  }
}
