import Architecture
import Exposure
import Tensors
import Testing

@testable import Attacks

@Suite struct BaseWeightsTests {
  private static let attack = BaseWeights(workers: SmallTransformer.workers)

  private func measure(
    _ transformer: SmallTransformer, control: Bool = false, seconds: Int = 60
  ) throws -> Measurement {
    let evidence = try transformer.evidence([[3, 4, 5, 6, 7, 8]], sampleTexts: nil)
    var random = SplitMix(seed: 1)
    let truth = control ? evidence.controlTruth : evidence.truth
    let knowledge = try Self.attack.knowledge(of: evidence, truth: truth, random: &random)
    let claim = Self.attack.attempt(
      on: control ? evidence.control : evidence.masked, knowing: knowledge, random: &random,
      until: Deadline(after: .seconds(seconds)))
    return Self.attack.score(claim, truth: truth)
  }

  @Test(arguments: [UInt64(1), 2, 3, 4, 5], [24, 48]) func rotation(seed: UInt64, width: Int) throws {
    let m = try measure(try .llama(width: width, seed: seed))
    print(m)
    print(try measure(try .llama(width: width, seed: seed), control: true))
  }
  @Test(arguments: [UInt64(1), 2, 3, 4, 5], [24, 48]) func permutation(seed: UInt64, width: Int) throws {
    let m = try measure(try .bert(width: width, seed: seed))
    print(m)
    print(try measure(try .bert(width: width, seed: seed), control: true))
  }
  @Test(arguments: [UInt64(1), 2, 3, 4, 5], [24, 48]) func fresh(seed: UInt64, width: Int) throws {
    var m = try SmallTransformer.llama(width: width, seed: seed)
    m.base = SmallTransformer.weights(m.parameters, seed: seed + 100)
    print(try measure(m))
    m = try SmallTransformer.bert(width: width, seed: seed)
    m.base = SmallTransformer.weights(m.parameters, seed: seed + 100)
    print(try measure(m))
  }
}
