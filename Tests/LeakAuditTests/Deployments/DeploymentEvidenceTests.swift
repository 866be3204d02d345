import Families
import Masking
import Models
import Numerics
import OwnerRole
import TestSupport
import Testing

@testable import LeakAudit

/// What is gathered of a deployment, and what all its attacks find in it.
@Suite struct DeploymentEvidenceTests {
  private func model(
    _ scene: CopyScene, task: LearningTask, noise: Double? = nil, tokens: AuditedModel.Tokens? = nil
  ) throws -> AuditedModel {
    var traits = JobTraits.sample()
    traits.task = task
    traits.readsTokens = tokens != nil
    return AuditedModel(
      traits: traits, graph: try #require(scene.graph), parameters: scene.parameters, plan: scene.plan,
      masking: MaskingDescription(strength: .rotation, padding: 0, exact: true, noise: noise), weights: scene.weights,
      base: nil, tokens: tokens)
  }

  private func rows(_ count: Int) -> QuestionContent {
    var random = SplitMix(seed: 1)
    return .features(SyntheticRows.gaussian(count, 12, random: &random))
  }

  private func evidence(
    _ model: AuditedModel, _ questions: QuestionContent
  ) throws -> Evidence {
    try DeploymentEvidence(
      model: model, questions: questions, key: MasterKey(), other: MasterKey(), compute: CopyScene.compute
    ).collect()
  }

  private func results(_ evidence: Evidence) -> [AttackKind: AttackResult] {
    let results = Audit(evidence, compute: CopyScene.compute).run(within: .seconds(120)) { _, _, _ in }
    #expect(results.map(\.attack) == AttackKind.ofDeployments)
    return Dictionary(uniqueKeysWithValues: results.map { ($0.attack, $0) })
  }

  /// A perceptron of 12 columns under a rotation: 12 known questions are enough, the constant being known anyhow, questions that come again are seen, and one client's key opens the
  /// questions under another's.
  @Test func questionsToAPerceptronAreAttacked() throws {
    let scene = try CopyScene.perceptron(hidden: [40], activation: .relu, seed: 1)
    let evidence = try evidence(model(scene, task: .classification), rows(320))
    #expect(evidence.masked.inputs.rows == 200)
    // The plaintext behind the view: T x + δ is what the host sees.
    let key = evidence.truth.inputKey
    let rebuilt = evidence.truth.rows.converted(to: Double.self).times(
      key.firstColumns(12), otherTransposed: true, compute: CopyScene.compute
    ).adding((0..<13).map { key[$0, 12] })
    #expect(rebuilt.squaredDistance(to: evidence.masked.inputs.converted()) < 1e-6)
    let results = results(evidence)
    #expect(results[.knownRows]?.masked?.value == 12)
    #expect(results[.repeatedQuestions]?.masked?.value == 1)
    #expect(results[.repeatedQuestions]?.unmasked?.value == 1)
    #expect(try #require(results[.copies]?.masked?.value) < 1e-3)
    #expect(try #require(results[.copies]?.unmasked?.value) < 1e-3)
    for kind in [AttackKind.generationCache, .tokenMatching, .baseWeights] {
      #expect(results[kind]?.status == .inapplicable)
    }
  }

  /// Noise of a row's own size, another for each asking.
  @Test func noiseIsAnotherForEachQuestion() throws {
    let scene = try CopyScene.perceptron(hidden: [40], activation: .relu, seed: 2)
    let results = results(try evidence(model(scene, task: .classification, noise: 3), rows(320)))
    #expect(try #require(results[.repeatedQuestions]?.masked?.value) < 0.5)
    #expect(results[.repeatedQuestions]?.unmasked?.value == 1)
    // The key is found, and the noise stays: its deviation is three times the rows'.
    let copies = try #require(results[.copies]?.masked)
    #expect(try #require(copies.value) > 2 && copies.detail("relative error of the key") ?? 1 < 1e-3)
  }

  /// Sessions of a language model: one step's outputs beside the next step's token.
  @Test func generationLinksTheKeysOfADecoder() throws {
    var scene = try CopyScene.decoder(words: 60, seed: 3)
    // A head that prefers some words clearly, as a trained one does.
    let head = try #require(scene.parameters.lastIndex { $0.shape == [60, 24] })
    for entry in 0..<scene.weights[head].count { scene.weights[head][entry] *= 2 }
    var random = SplitMix(seed: 4)
    let table = SyntheticRows.gaussian(60, 24, random: &random)
    let samples = (0..<40).map { _ in
      (0..<10).map { Token(id: Int32.random(in: 0..<60, using: &random), position: Int32($0)) }
    }
    let model = try model(
      scene, task: .causalLanguageModel,
      tokens: .init(
        embedding: TokenEmbedding(words: table, positions: nil, types: nil, norm: nil),
        settings: TokenSettings(task: .causalLanguageModel, poolsLast: false, shuffles: false)))
    let evidence = try evidence(model, .tokens(samples))
    let generation = try #require(evidence.masked.deployment?.generation)
    #expect(generation.logits.columns == 60 && generation.logits.rows == evidence.truth.deployment?.chosen.count)
    #expect(generation.logits.rows == 8 * (64 - 10))
    let results = results(evidence)
    let cache = try #require(results[.generationCache]?.masked)
    #expect(try #require(cache.value) > 0.8)
    #expect(try #require(results[.copies]?.masked?.value) < 1e-3)
    #expect(results[.repeatedQuestions]?.masked?.value == 1)
  }

  @Test func tooFewSamplesAreRefused() throws {
    let scene = try CopyScene.perceptron(hidden: [40], activation: .relu, seed: 5)
    #expect(throws: OwnerError.unfitData("an audit needs 8 samples at least, and there are 7")) {
      try evidence(model(scene, task: .classification), rows(7))
    }
  }

  /// A deployment's limits and a job's do not meet each other's reports.
  @Test func limitsOfTheOtherKindOfAuditPassAndSaySo() throws {
    let attacks = [SampleReport.result(.copies, 0.1), SampleReport.result(.repeatedQuestions, 0.4)]
    var report = SampleReport.with(attacks)
    #expect(try GateCheck(AuditGate(copiesErrorMin: 0.5)).check(report).count == 1)
    report.deployment = DeploymentTraits(id: "0", clients: 1, keys: 1, usesThrowAwayKey: true)
    #expect(throws: AuditError.self) { try GateCheck(AuditGate(copiesErrorMin: 0.5)).check(report) }
    #expect(try GateCheck(AuditGate(membershipMax: 0.1, repeatedQuestionsMax: 0.5)).check(report).count == 1)
    #expect(throws: AuditError.self) { try GateCheck(AuditGate(repeatedQuestionsMax: 0.3)).check(report) }
    #expect(throws: AuditError.self) { try GateCheck(AuditGate(cacheMax: 0.3)).check(report) }
    #expect(ReportPage(report).html.contains("What could the host learn from questions to"))
  }
}
