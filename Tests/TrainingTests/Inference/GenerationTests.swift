import Models
import Numerics
import Testing

@testable import Training

/// Outputs of sessions that grow token by token against one whole pass over their tokens.
@Suite struct GenerationTests {
  /// Across the borders of chunks (128 tokens) and of blocks of attention, in parts of every kind.
  private static let splits: [[Int]] = [
    [300], Array(repeating: 1, count: 300), [1, 127, 1, 1, 170], [128, 128, 44], [299, 1], [2, 129, 131, 38],
  ]

  private func check<Element: FloatingElement>(_: Element.Type, _ decoder: Decoder) throws {
    let harness = try GenerationHarness<Element>(decoder)
    let session = GenerationHarness<Element>.session(1, tokens: 300)
    let whole = try harness.whole(session)
    for split in Self.splits {
      let (outputs, ends) = try harness.extended(session, by: split)
      for (output, end) in zip(outputs, ends) {
        let difference = GenerationHarness.difference(output, whole.slice(rows: end..<end + 1))
        #expect(difference <= GenerationHarness<Element>.bound, "token \(end) of \(split.prefix(5))")
      }
    }
  }

  @Test(arguments: Decoder.allCases) func isTheWholePassAtEachToken(_ decoder: Decoder) throws {
    try check(Double.self, decoder)
    try check(Float.self, decoder)
  }

  /// Three blocks of 1,024 tokens, beside a session that ends in the second and one that begins in the third.
  @Test func aPromptLongerThanABlock() throws {
    let harness = try GenerationHarness<Double>(.groupedHeads, maximumTokens: 4000)
    let sessions = [1500, 1, 900, 30].enumerated().map { GenerationHarness<Double>.session($0, tokens: $1) }
    let caches = try sessions.map { _ in try harness.hosted.makeCache(capacity: 4000) }
    let outputs = try harness.hosted.extend(Array(zip(caches, sessions)))
    #expect(outputs.shape == [4, GenerationHarness<Double>.outputs])
    for (index, session) in sessions.enumerated() {
      let expected = try harness.whole(session).slice(rows: session.rows - 1..<session.rows)
      let difference = GenerationHarness.difference(outputs.slice(rows: index..<index + 1), expected)
      #expect(difference <= GenerationHarness<Double>.bound, "session \(index)")
      #expect(caches[index].count == session.rows)
    }
  }

  private func difference<Element: FloatingElement>(
    _: Element.Type, _ decoder: Decoder
  ) throws -> Double {
    let harness = try GenerationHarness<Element>(decoder)
    let sessions = [3, 130, 1, 64, 257].enumerated().map { GenerationHarness<Element>.session($0, tokens: $1 + 20) }
    let together = try sessions.map { _ in try harness.hosted.makeCache(capacity: 300) }
    var largest = 0.0
    var alone = try sessions.map { _ in try harness.hosted.makeCache(capacity: 300) }
    alone.reverse()
    for step in 0...20 {
      // The prompts first, then a token of each; session 2 takes two at a time and sits every other step out.
      let parts = sessions.indices.compactMap { index -> (Int, Tensor<Element>)? in
        let (session, prompt) = (sessions[index], sessions[index].rows - 20)
        if step == 0 { return (index, session.slice(rows: 0..<prompt)) }
        if index != 2 { return (index, session.slice(rows: prompt + step - 1..<prompt + step)) }
        return step.isMultiple(of: 2) ? (index, session.slice(rows: prompt + step - 2..<prompt + step)) : nil
      }
      let outputs = try harness.hosted.extend(parts.map { (together[$0.0], $0.1) })
      for (row, part) in parts.enumerated() {
        let single = try harness.hosted.extend([(alone[part.0], part.1)])
        largest = max(largest, GenerationHarness.difference(outputs.slice(rows: row..<row + 1), single))
      }
    }
    return largest
  }

  @Test(arguments: Decoder.allCases) func aSessionIsTheSameInABatch(_ decoder: Decoder) throws {
    #expect(try difference(Double.self, decoder) <= GenerationHarness<Double>.bound)
    #expect(try difference(Float.self, decoder) <= GenerationHarness<Float>.bound)
  }

  @Test(arguments: Decoder.allCases) func bitsDoNotDependOnThreads(_ decoder: Decoder) throws {
    let results = try [1, 2, 5].map { threads in
      let harness = try GenerationHarness<Float>(decoder, threads: threads)
      let sessions = [200, 1, 40].enumerated().map { GenerationHarness<Float>.session($0, tokens: $1 + 5) }
      let caches = try sessions.map { _ in try harness.hosted.makeCache(capacity: 300) }
      return try (0...5).flatMap { step in
        try harness.hosted.extend(
          zip(caches, sessions).map { cache, session in
            let prompt = session.rows - 5
            return (cache, session.slice(rows: step == 0 ? 0..<prompt : prompt + step - 1..<prompt + step))
          }
        ).elements.map(\.bitPattern)
      }
    }
    #expect(results[0] == results[1] && results[0] == results[2])
  }

  /// What was beyond the cut is forgotten: the same bits as without it.
  @Test(arguments: [0, 1, 100, 128, 199, 200, 500]) func aSessionIsCutAndGoesOn(_ length: Int) throws {
    let harness = try GenerationHarness<Float>(.groupedHeads)
    let (session, other) = (
      GenerationHarness<Float>.session(1, tokens: 200), GenerationHarness<Float>.session(2, tokens: 9)
    )
    let (cut, fresh) = (try harness.hosted.makeCache(capacity: 300), try harness.hosted.makeCache(capacity: 300))
    let kept = min(length, 200)
    _ = try harness.hosted.extend([(cut, session.slice(rows: 0..<max(1, kept)))])
    if kept < 200 { _ = try harness.hosted.extend([(cut, session.slice(rows: max(1, kept)..<200))]) }
    cut.truncate(to: length)
    #expect(cut.count == kept)
    if kept > 0 { _ = try harness.hosted.extend([(fresh, session.slice(rows: 0..<kept))]) }
    #expect(cut.bytes == fresh.bytes)
    #expect(try harness.hosted.extend([(cut, other)]) == harness.hosted.extend([(fresh, other)]))
  }

  @Test func aSessionGoesOnInAnotherCopyOfTheModel() throws {
    let (one, two) = (try GenerationHarness<Float>(.manyHeads), try GenerationHarness<Float>(.manyHeads))
    let session = GenerationHarness<Float>.session(1, tokens: 20)
    let cache = try one.hosted.makeCache(capacity: 20)
    _ = try one.hosted.extend([(cache, session.slice(rows: 0..<19))])
    let outputs = try two.hosted.extend([(cache, session.slice(rows: 19..<20))])
    let whole = try one.whole(session)
    #expect(
      GenerationHarness.difference(outputs, whole.slice(rows: 19..<20)) <= GenerationHarness<Float>.bound)
  }

  /// NaN stays in the session that it came with.
  @Test func aSessionOfNaNHarmsNoOther() throws {
    let harness = try GenerationHarness<Float>(.groupedHeads)
    let session = GenerationHarness<Float>.session(1, tokens: 30)
    let outputs = try [Float.nan, 0.5].map { value in
      let caches = try (0..<2).map { _ in try harness.hosted.makeCache(capacity: 30) }
      return try harness.hosted.extend([
        (caches[0], Tensor(repeating: value, shape: [30, GenerationHarness<Float>.width])), (caches[1], session),
      ])
    }
    #expect(outputs[0].slice(rows: 0..<1).elements.allSatisfy { $0.isNaN })
    #expect(outputs[0].slice(rows: 1..<2) == outputs[1].slice(rows: 1..<2))
  }
}
