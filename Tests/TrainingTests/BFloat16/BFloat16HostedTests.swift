import Models
import Numerics
import Testing

@testable import Training

/// Hosted models whose activations, keys and values are of 16 bits.
@Suite struct BFloat16HostedTests {
  typealias Harness = GenerationHarness<Float>

  /// Some sixty roundings of 2⁻⁹ of the largest entries, of which few are of one sign: within 2⁻⁴ of the largest logit.
  private let bound = 0x1p-4

  @Test(arguments: Decoder.allCases) func answersAreNearThoseOfSinglePrecision(_ decoder: Decoder) throws {
    let (narrow, full) = (try Harness(decoder, precision: .bfloat16), try Harness(decoder))
    let session = Harness.session(1, tokens: 200)
    let (found, wanted) = (try narrow.whole(session), try full.whole(session))
    #expect(Harness.difference(found, wanted) <= bound && found != wanted)
    #expect(found.elements.allSatisfy { BFloat16($0).widened == $0 })
  }

  /// Token by token and in parts, across the borders of chunks.
  @Test(arguments: Decoder.allCases) func sessionsGoOnAsWholeOnes(_ decoder: Decoder) throws {
    let harness = try Harness(decoder, precision: .bfloat16)
    let session = Harness.session(2, tokens: 150)
    let whole = try harness.whole(session)
    let (outputs, ends) = try harness.extended(session, by: [126, 1, 1, 1, 1, 20])
    for (output, end) in zip(outputs, ends) {
      #expect(Harness.difference(output, whole.slice(rows: end..<end + 1)) <= bound)
    }
  }

  @Test func aSessionTakesHalfTheMemory() throws {
    let (narrow, full) = (try Harness(.groupedHeads, precision: .bfloat16), try Harness(.groupedHeads))
    let session = Harness.session(1, tokens: 130)
    let caches = try [narrow, full].map { try $0.hosted.makeCache(capacity: 200) }
    _ = try narrow.hosted.extend([(caches[0], session)])
    _ = try full.hosted.extend([(caches[1], session)])
    #expect(2 * caches[0].bytes == caches[1].bytes && caches[0].bytes > 0)
    #expect(caches[0].bytesNeeded(tokens: 130) == caches[0].bytes)
    #expect(
      GenerationCache<Float>.bytesNeeded(narrow.graph, tokens: 130, precision: .bfloat16) == caches[0].bytes)
    #expect(GenerationCache<Float>.bytesNeeded(full.graph, tokens: 130) == caches[1].bytes)
  }

  /// A session of the other format's model is another model's, and stays as it was.
  @Test func aSessionOfAnotherFormatIsRefused() throws {
    let (narrow, full) = (try Harness(.groupedHeads, precision: .bfloat16), try Harness(.groupedHeads))
    let cache = try full.hosted.makeCache(capacity: 10)
    #expect(throws: TrainingError.generationPart(0, "the session is another model's")) {
      try narrow.hosted.extend([(cache, Harness.session(1, tokens: 3))])
    }
    #expect(cache.count == 0)
  }
}
