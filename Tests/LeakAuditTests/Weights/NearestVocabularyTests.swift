import Numerics
import Testing
import TestSupport

@testable import LeakAudit

@Suite struct NearestVocabularyTests {
  /// Against the distances to every embedded vector, one by one, of rows with as much noise as makes a third of them nearer to another word.
  @Test(arguments: [true, false]) func isTheNearestOfAll(encoder: Bool) throws {
    let transformer = encoder ? try SmallTransformer.bert(words: 30, seed: 1) : try .llama(words: 30, seed: 1)
    var random = SplitMix(seed: 2)
    let length = 9
    let samples = (0..<5).map { _ in (0..<length).map { _ in Int32.random(in: 0..<30, using: &random) } }
    var rows = transformer.rows(samples)
    for index in 0..<rows.count { rows[index] += random.nextValue() }
    // Each word at each position of either type: as a sample that starts with it.
    let kinds = encoder ? 2 : 1
    let vocabulary = transformer.vocabulary
    var nearest = [(word: Int32, distance: Float)](repeating: (-1, .infinity), count: rows.rows)
    for word in Int32(0)..<30 {
      for kind in 0..<kinds {
        let vectors = transformer.rows([[Int32](repeating: word, count: encoder ? length : 1)], type: kind)
        for row in 0..<rows.rows {
          for place in 0..<vectors.rows {
            var distance: Float = 0
            for column in 0..<rows.columns {
              let difference = rows[row, column] - vectors[place, column]
              distance += difference * difference
            }
            if distance < nearest[row].distance { nearest[row] = (word, distance) }
          }
        }
      }
    }
    let match = NearestVocabulary(vocabulary, positions: length, compute: SmallTransformer.compute).match(
      rows, until: Deadline(after: .seconds(60)))
    #expect(match.tokens == nearest.map(\.word) && match.isComplete)
    let right = zip(match.tokens, samples.joined()).filter { $0 == $1 }.count
    #expect(right > 10 && right < rows.rows)
  }

  @Test func afterTheDeadlineNothingIsMatched() throws {
    let transformer = try SmallTransformer.llama(seed: 3)
    let match = NearestVocabulary(transformer.vocabulary, positions: 3, compute: SmallTransformer.compute).match(
      transformer.rows([[1, 2, 3]]), until: Deadline(after: .zero))
    #expect(match.tokens == [-1, -1, -1] && !match.isComplete)
  }
}
