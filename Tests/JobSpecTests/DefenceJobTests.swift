import Models
import Foundations
import Foundation
import Testing

@testable import JobSpec

/// `masking.adapter`, `masking.noise`, `masking.base_model` and `audit.gate`.
@Suite struct DefenceJobTests {
  private func refusal(_ section: String, _ overrides: [String] = []) -> JobSpecError? {
    JobFixture.refusal(JobFixture.smallest(with: section), overrides)
  }

  private func expectContradiction(
    _ error: JobSpecError?, _ words: String, sourceLocation: Testing.SourceLocation = #_sourceLocation
  ) {
    guard case .contradiction(let sentence)? = error?.reason else {
      Issue.record("\(String(describing: error))", sourceLocation: sourceLocation)
      return
    }
    #expect(sentence.contains(words), sourceLocation: sourceLocation)
    #expect(error?.location != nil, sourceLocation: sourceLocation)
    #expect(error?.kind == .usage, sourceLocation: sourceLocation)
  }

  @Test func everyKeyResolves() throws {
    let job = try JobFixture().resolve(JobFixture.defended)
    #expect(
      job.masking
        == MaskingDescription(strength: .rotation, padding: 0, exact: true, adapterWidth: 256, noise: 0.25))
    #expect(
      job.audit
        == AuditGate(
          knownRowsMin: 32, spectralRecoveryMax: 0.11, sourceSeparationMax: 0.12, linkageMax: 0.13, keyErrorMin: 1.5,
          tokenRecoveryMax: 0.05, labelInformationMax: 0.14, matchingMax: 0.6, membershipMax: 0.015,
          repeatedQuestionsMax: 0.3, copiesErrorMin: 0.5, cacheMax: 0.25))
  }

  @Test func withoutThemThereIsNothing() throws {
    let job = try JobFixture().resolve(JobFixture.smallest)
    #expect(job.masking.adapterWidth == nil)
    #expect(job.masking.noise == nil)
    #expect(job.audit == nil)
    // Keys alone: a path may hold any word.
    let keys = job.yaml().split(separator: "\n").compactMap { $0.split(separator: ":").first }
      .map { String($0).trimmingCharacters(in: .whitespaces) }
    #expect(keys.contains("masking") && Set(keys).isDisjoint(with: ["audit", "adapter", "noise"]))
  }

  @Test func everyBoundAloneIsWrittenUnderItsOwnName() throws {
    let fixture = try JobFixture()
    for name in JobSchema.children(of: "audit.gate") {
      let job = try fixture.resolve(JobFixture.smallest, ["audit.gate.\(name)=1"])
      let bound = name == "known_rows_min" ? "1" : "1.0"
      #expect(job.yaml().hasSuffix("audit:\n  gate:\n    \(name): \(bound)\n"))
      #expect(try fixture.resolve(job.yaml()) == job)
    }
    #expect(JobSchema.children(of: "audit.gate").count == 12)
  }

  /// What an audit is of does not change with what is asked of it or with where the job is sent, and with nothing less.
  @Test func theAuditedTextLeavesOutTheTrainerAndTheAudit() throws {
    let fixture = try JobFixture()
    let job = try fixture.resolve(JobFixture.defended)
    let lines = job.yaml().split(separator: "\n").prefix { $0 != "audit:" }.filter {
      // Of float32, which was not stated once, an audit's text says nothing.
      !$0.hasPrefix("trainer:") && $0 != "  precision: float32"
    }
    #expect(job.auditedYAML == lines.joined(separator: "\n") + "\n")
    for override in ["trainer=tcp://elsewhere:1", "audit.gate={known_rows_min: 5}"] {
      #expect(try fixture.resolve(JobFixture.defended, [override]).auditedYAML == job.auditedYAML)
    }
    for override in ["masking.noise.sigma=0.26", "masking.adapter.width=255", "train.seed=9"] {
      #expect(try fixture.resolve(JobFixture.defended, [override]).auditedYAML != job.auditedYAML)
    }
  }

  // MARK: Adapter

  @Test func anAdapterOfATransformer() {
    expectContradiction(
      JobFixture.refusal(JobFixture.smallestTransformer, ["masking.adapter.width=8"]),
      "the token vectors of a transformer are its residual stream")
  }

  @Test func paddingBesideAnAdapter() {
    expectContradiction(refusal("masking: {padding: 1, adapter: {width: 8}}"), "would show through")
    #expect(refusal("masking: {padding: 0, adapter: {width: 8}}") == nil)
  }

  // MARK: Base model

  @Test(arguments: ["rotation", "permutation"])
  func aPretrainedModelOfWhichItIsNotSaidWhoHasIt(strength: String) {
    let error = JobFixture.refusal(JobFixture.smallestTransformer, ["masking={strength: \(strength)}"])
    guard case .missingKey("masking.base_model", let meaning)? = error?.reason else {
      Issue.record("\(String(describing: error))")
      return
    }
    for words in ["`public`: it can", "`private`: only you", strength] { #expect(meaning.contains(words)) }
    #expect(error?.kind == .usage)
  }

  @Test(arguments: ["input-only", "none"])
  func whatMasksNoWeightsNeedsNotSayIt(strength: String) {
    #expect(JobFixture.refusal(JobFixture.smallestTransformer, ["masking={strength: \(strength)}"]) == nil)
  }

  // MARK: Ranges, types and names

  @Test(arguments: [
    ("masking: {adapter: {width: 0}}", "an integer from 1 to 1048576"),
    ("masking: {adapter: {width: 1048577}}", "an integer from 1 to 1048576"),
    ("masking: {noise: {sigma: 0}}", "a number above 0 and at most 1000"),
    ("masking: {noise: {sigma: -1}}", "a number above 0 and at most 1000"),
    ("masking: {noise: {sigma: 1000.1}}", "a number above 0 and at most 1000"),
    ("audit: {gate: {known_rows_min: 0}}", "an integer from 1 to 1000000000"),
    ("audit: {gate: {known_rows_min: 1000000001}}", "an integer from 1 to 1000000000"),
    ("audit: {gate: {key_error_min: 2.1}}", "a number at least 0 and at most 2"),
    ("audit: {gate: {key_error_min: -0.1}}", "a number at least 0 and at most 2"),
    ("audit: {gate: {spectral_recovery_max: 1.1}}", "a number at least 0 and at most 1"),
    ("audit: {gate: {source_separation_max: 1.1}}", "a number at least 0 and at most 1"),
    ("audit: {gate: {linkage_max: 1.1}}", "a number at least 0 and at most 1"),
    ("audit: {gate: {token_recovery_max: 1.1}}", "a number at least 0 and at most 1"),
    ("audit: {gate: {label_information_max: 1.1}}", "a number at least 0 and at most 1"),
    ("audit: {gate: {matching_max: 1.1}}", "a number at least 0 and at most 1"),
    ("audit: {gate: {membership_max: -0.1}}", "a number at least 0 and at most 1"),
    ("audit: {gate: {copies_error_min: 2.1}}", "a number at least 0 and at most 2"),
    ("audit: {gate: {copies_error_min: -0.1}}", "a number at least 0 and at most 2"),
    ("audit: {gate: {repeated_questions_max: 1.1}}", "a number at least 0 and at most 1"),
    ("audit: {gate: {cache_max: 1.1}}", "a number at least 0 and at most 1"),
  ])
  func outOfRangeStatesTheDocumentedRange(section: String, range: String) {
    refusal(section).expectOutOfRange(range)
  }

  @Test(arguments: [
    ("masking: {adapter: 64}", "a mapping of keys", "an integer"),
    ("masking: {adapter: {width: 1.5}}", "an integer", "a number"),
    ("masking: {noise: 0.1}", "a mapping of keys", "a number"), ("masking: {noise: }", "a mapping of keys", "nothing"),
    ("masking: {noise: {sigma: none}}", "a number", "text"), ("audit: true", "a mapping of keys", "true or false"),
    ("audit: {gate: {known_rows_min: 1.5}}", "an integer", "a number"),
    ("audit: {gate: [1]}", "a mapping of keys", "a list"),
  ])
  func wrongType(section: String, expected: String, found: String) {
    refusal(section).expectWrongType(expected, found)
  }

  @Test(arguments: ["masking.adapter", "masking.noise", "audit", "audit.gate"])
  func anEmptySectionThatAsksForSomething(section: String) {
    let error = JobFixture.refusal(JobFixture.smallest, ["\(section)={}"])
    #expect(error?.reason == .emptySection(section, known: JobSchema.children(of: section)))
    #expect(error?.description.contains("`\(section)` is empty: give at least one of") == true)
    let inFile = refusal(
      section == "audit"
        ? "audit: {}" : section == "audit.gate" ? "audit: {gate: {}}" : "masking: {\(section.dropFirst(8)): {}}")
    #expect(inFile?.reason == error?.reason)
  }

  @Test(arguments: [
    ("masking: {adaptor: {width: 8}}", "masking.adapter"), ("masking: {adapter: {widht: 8}}", "masking.adapter.width"),
    ("masking: {noise: {sigm: 8}}", "masking.noise.sigma"), ("masking: {sigma: 8}", "masking.noise.sigma"),
    ("masking: {basemodel: public}", "masking.base_model"),
    ("audit: {gates: {matching_max: 1}}", "audit.gate"), ("gate: {matching_max: 1}", "audit.gate"),
    ("audit: {gate: {known_row_min: 1}}", "audit.gate.known_rows_min"),
    ("audit: {gate: {matching-max: 1}}", "audit.gate.matching_max"),
    ("audit: {linkage_max: 1}", "audit.gate.linkage_max"),
  ])
  func anUnknownKeySuggestsTheNearestKnownOne(section: String, suggestion: String) {
    guard case .unknownKey(_, let suggested, _)? = refusal(section)?.reason else {
      Issue.record("\(section): \(String(describing: refusal(section)))")
      return
    }
    #expect(suggested == suggestion)
  }
}
