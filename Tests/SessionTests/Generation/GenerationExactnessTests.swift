import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import Protocol
import TestSupport
import Testing

@testable import OwnerRole

/// Tokens of a masked model are those of the model in the clear.
@Suite(.waiting, .timeLimit(.minutes(10))) struct GenerationExactnessTests {
  /// 20 tokens after each prompt, by the whole prefix each time.
  @Test func greedyTokensAreThoseOfThePlaintextModel() throws {
    let stage = try GenerationStage<Double>()
    let host = stage.host()
    defer { host.shutDown() }
    let deployment = try stage.fixture.deployed(stage.source)
    let report = try stage.generate(deployment, to: "texts.h5")
    let expected = try stage.expected(try GenerationStage<Double>.greedy)
    #expect(try stage.results("texts.h5") == expected)
    #expect(expected.contains { Set($0.tokens).count > 3 }, "nothing but repetition")
    #expect(report.rows == 6 && report.tokens == 120 && report.tokensGenerated == 120 && report.finished == 0)
    #expect(report.rowsSeen == stage.tokensSent(expected) && report.seed == nil)
    #expect(!stage.fixture.directory.url("texts.h5.partial").isThere)
    let status = try stage.fixture.host(deployment).status()
    #expect(status.rows == report.rowsSeen)
  }

  /// In single precision, where logits do not lie closer than rounding.
  @Test func greedyTokensInSinglePrecision() throws {
    let stage = try GenerationStage<Float>()
    let host = stage.host()
    defer { host.shutDown() }
    let deployment = try stage.fixture.deployed(stage.source)
    try stage.generate(deployment, to: "texts.h5")
    #expect(try stage.results("texts.h5") == stage.expected(try GenerationStage<Float>.greedy))
  }

  @Test(
    arguments: [(0.7, nil, nil), (1.3, 5, nil), (1, nil, 0.6), (1, 7, 0.8), (2, 0, nil)] as [(Double, Int?, Double?)])
  func drawnTokens(_ temperature: Double, _ topK: Int?, _ topP: Double?) throws {
    let stage = try GenerationStage<Double>()
    let host = stage.host()
    defer { host.shutDown() }
    let deployment = try stage.fixture.deployed(stage.source)
    let sampling = try TokenSampling(temperature: temperature, topK: topK, topP: topP)
    let report = try stage.generate(deployment, to: "texts.h5", sampling: sampling)
    let found = try stage.results("texts.h5")
    #expect(try found == stage.expected(sampling))
    #expect(report.seed == 5)
    #expect(try stage.numbers("texts.h5", "seed").values == [5])
    try stage.generate(deployment, to: "other.h5", sampling: sampling, seed: 6)
    #expect(try stage.results("other.h5") != found)
  }

  /// However many are under way together, and in whatever company.
  @Test func theSameTokensInAnyNumberAtOnce() throws {
    let stage = try GenerationStage<Double>(lengths: (0..<20).map { 1 + $0 % 9 })
    let host = stage.host()
    defer { host.shutDown() }
    let deployment = try stage.fixture.deployed(stage.source)
    let sampling = try TokenSampling(temperature: 1)
    var found: [[GenerationStage<Double>.Result]] = []
    for atOnce in [1, 3, 100] {
      try stage.generate(deployment, to: "texts-\(atOnce).h5", sampling: sampling, atOnce: atOnce)
      found.append(try stage.results("texts-\(atOnce).h5"))
    }
    #expect(found[0] == found[1] && found[1] == found[2])
    #expect(Set(found[0].map(\.tokens)).count == 20, "each text has numbers of its own")
  }

  /// Texts that stop by themselves, others by --max-tokens, others where the deployment's 96 tokens are used up.
  @Test func howTextsEnd() throws {
    let stage = try GenerationStage<Double>(lengths: [3, 7, 93, 5, 95, 2], endTokens: [4, 13])
    let host = stage.host()
    defer { host.shutDown() }
    let deployment = try stage.fixture.deployed(stage.source)
    let sampling = try TokenSampling(temperature: 1.5)
    // Nothing said: 64, or what there is room for.
    let report = try stage.generate(deployment, to: "texts.h5", mostTokens: nil, sampling: sampling, seed: 1)
    let found = try stage.results("texts.h5")
    #expect(try found == stage.expected(sampling, seed: 1, limit: { min(64, 96 - $0) }))
    #expect(found[4].tokens.count == 1 && found[2].tokens.count <= 3)
    #expect(report.finished == found.count(where: \.isFinished) && report.finished > 0)
    #expect(found.filter(\.isFinished).allSatisfy { [4, 13].contains($0.tokens.last) })
    #expect(found.contains { !$0.isFinished })
  }

  /// Every logit is 0: the lowest ids are the largest, whichever the host would have picked under its key.
  @Test func equalLogitsAreDecidedByTheTokensNumber() throws {
    let stage = try GenerationStage<Float>(zeroing: "lm_head.weight")
    let host = stage.host()
    defer { host.shutDown() }
    let deployment = try stage.fixture.deployed(stage.source)
    let report = try stage.generate(deployment, to: "texts.h5", mostTokens: 4)
    #expect(try stage.results("texts.h5").allSatisfy { $0.tokens == [0, 0, 0, 0] })
    // Asked twice about each token, counted once.
    #expect(report.rowsSeen == stage.tokensSent(try stage.results("texts.h5")))
    try stage.generate(deployment, to: "drawn.h5", mostTokens: 30, sampling: TokenSampling(temperature: 1, topK: 3))
    #expect(Set(try stage.results("drawn.h5").flatMap(\.tokens)) == [0, 1, 2])
  }

  /// Under every strength that a language model may have; unmasked too.
  @Test(arguments: [MaskingStrength.none, .permutation, .rotation]) func strengths(_ strength: MaskingStrength) throws {
    let stage = try GenerationStage<Double>()
    let host = stage.host()
    defer { host.shutDown() }
    let source = try stage.fixture.source(
      stage.fixture.directory.url("checkpoint"), task: .causalLanguageModel, strength: strength)
    let deployment = try stage.fixture.deployed(source)
    try stage.generate(deployment, to: "texts.h5")
    #expect(try stage.results("texts.h5") == stage.expected(try GenerationStage<Double>.greedy))
  }

  @Test func outputsAreUnmaskedByTheirPlaces() throws {
    let stage = try GenerationStage<Float>()
    let shape = try stage.source.open().questionShape
    let keys = JobKeys<Float>(master: MasterKey(), plan: shape.keyPlan, compute: Compute(threads: 1))
    let ids = (0..<Int32(shape.outputs)).map { $0 }
    let masked = try keys.maskClasses(ids)
    #expect(masked != ids && Set(masked) == Set(ids))
    #expect(try keys.unmaskClasses(masked) == ids)
    for place in [-1, Int32(shape.outputs)] {
      #expect(throws: MaskingError.self) { try keys.unmaskClasses([place]) }
    }
  }
}
