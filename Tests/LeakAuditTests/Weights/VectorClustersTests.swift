import Numerics
import TestSupport
import Testing

@testable import LeakAudit

@Suite struct VectorClustersTests {
  /// 40 distinct vectors, number i in i % 5 + 1 copies, shuffled.
  private func rows(noise: Float) -> (Tensor<Float>, [Int]) {
    var random = SplitMix(seed: 1)
    let distinct = (0..<40).map { _ in (0..<32).map { _ in random.nextValue() } }
    let labels = (0..<40).flatMap { [Int](repeating: $0, count: $0 % 5 + 1) }.shuffled(using: &random)
    let elements = labels.flatMap { label in distinct[label].map { $0 + noise * random.nextValue() } }
    return (Tensor(elements, shape: [labels.count, 32]), labels)
  }

  /// Vectors of 32 entries of variance 1 are 8 ± 1 apart; noise of 0.2 puts copies 1.6 apart, noise of 1e-6 far below.
  @Test(arguments: [Float(0), 1e-6, 0.2]) func copiesAreJoined(noise: Float) {
    let (rows, labels) = rows(noise: noise)
    let clusters = VectorClusters(rows, compute: SmallTransformer.compute)
    #expect(clusters.count == 40)
    let pairs = Set(zip(labels, clusters.cluster).map { [$0, $1] })
    #expect(pairs.count == 40)
    // The larger, the smaller its number.
    let sizes = (0..<40).map { number in clusters.cluster.filter { $0 == number }.count }
    #expect(sizes == sizes.sorted(by: >))
  }

  /// One mode of distances is no reason to join anything.
  @Test func differentVectorsStayApart() {
    var random = SplitMix(seed: 2)
    let rows = Tensor((0..<50 * 32).map { _ in random.nextValue() }, shape: [50, 32])
    #expect(VectorClusters(rows, compute: SmallTransformer.compute).count == 50)
  }

  @Test func nothingAndOne() {
    #expect(VectorClusters(Tensor(zeros: [0, 3]), compute: SmallTransformer.compute).count == 0)
    #expect(VectorClusters(Tensor(zeros: [1, 3]), compute: SmallTransformer.compute).count == 1)
  }

  /// 10 words at 4 places each, places a quarter as long as words, all pairs three times: pairs first, then words.
  @Test func mergedAreWordsWhateverTheirPlace() {
    var random = SplitMix(seed: 3)
    let words = (0..<10).map { _ in (0..<48).map { _ in random.nextValue() } }
    let places = (0..<4).map { _ in (0..<48).map { _ in 0.25 * random.nextValue() } }
    let labels = (0..<120).map { ($0 % 10, $0 / 10 % 4) }.shuffled(using: &random)
    let rows = Tensor(
      labels.flatMap { label in zip(words[label.0], places[label.1]).map { $0 + $1 } }, shape: [labels.count, 48])
    let clusters = VectorClusters(rows, compute: SmallTransformer.compute)
    let together = clusters.merged(rows, compute: SmallTransformer.compute)
    #expect(Set(labels.map { $0.0 * 4 + $0.1 }).count == clusters.count)
    #expect(together.count == 10)
    #expect(Set(zip(labels, together.cluster).map { [$0.0.0, $0.1] }).count == 10)
  }
}

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
