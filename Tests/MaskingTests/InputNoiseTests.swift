import Models
import Numerics
import Testing

@testable import Masking

@Suite struct InputNoiseTests {
  private func noise(
    _ deviation: Double = 1, seed: Int = 1, _ purpose: InputNoise.Purpose = .training
  ) throws -> InputNoise {
    try #require(
      InputNoise(
        MaskingDescription(strength: .rotation, padding: 0, exact: true, noise: deviation), master: .fixed(seed: seed),
        for: purpose))
  }

  private func drawn(_ noise: InputNoise, rows: Range<Int32>, width: Int, threads: Int = 1) throws -> Tensor<Double> {
    var values = Tensor<Double>(zeros: [rows.count, width])
    try noise.add(to: &values, numbers: Array(rows), workers: Workers(threads: threads))
    return values
  }

  @Test func aJobWithoutNoiseHasNone() {
    let masking = MaskingDescription(strength: .rotation, padding: 0, exact: true)
    #expect(InputNoise(masking, master: .fixed(seed: 1), for: .training) == nil)
  }

  @Test func aJobWithNothingMaskedHasItsNoise() {
    let masking = MaskingDescription(strength: .none, padding: 0, exact: true, noise: 1)
    #expect(InputNoise(masking, master: .fixed(seed: 1), for: .training) != nil)
  }

  /// 200,000 numbers: mean to 1/√n ≈ 0.0022 of the deviation, mean square to √(2/n) ≈ 0.0032, fourth moment (3) to √(96/n) ≈ 0.022;
  /// five of each.
  @Test func noiseIsGaussianOfTheDeviation() throws {
    let values = try drawn(noise(0.25), rows: 0..<2000, width: 100).elements.map { $0 / 0.25 }
    let count = Double(values.count)
    #expect(abs(values.reduce(0, +) / count) < 0.011)
    #expect(abs(values.reduce(0) { $0 + $1 * $1 } / count - 1) < 0.016)
    #expect(abs(values.reduce(0) { $0 + $1 * $1 * $1 * $1 } / count - 3) < 0.11)
  }

  @Test func itIsAddedToWhatIsThere() throws {
    var values = Tensor<Double>(repeating: 5, shape: [3, 4])
    let noise = try noise()
    try noise.add(to: &values, numbers: [0, 1, 2], workers: Workers(threads: 1))
    let alone = try drawn(noise, rows: 0..<3, width: 4)
    #expect(values.elements == alone.elements.map { 5 + $0 })
  }

  /// The same row in blocks of every size, alone, with any number of threads, and in a resumed process.
  @Test func aRowHasTheSameBitsInEveryBlock() throws {
    let noise = try noise()
    let whole = try drawn(noise, rows: 0..<300, width: 7)
    for size in [1, 64, 65, 299] {
      for first in stride(from: 0, to: 300, by: size) {
        let rows = first..<min(300, first + size)
        let block = try drawn(noise, rows: Int32(rows.lowerBound)..<Int32(rows.upperBound), width: 7)
        #expect(block.elements == whole.slice(rows: rows).elements)
      }
    }
    #expect(try drawn(noise, rows: 0..<300, width: 7, threads: 3).elements == whole.elements)
    #expect(try drawn(self.noise(), rows: 0..<300, width: 7).elements == whole.elements)
  }

  @Test func rowsJobsAndPurposesHaveNoiseOfTheirOwn() throws {
    var seen: Set<[Double]> = []
    for noise in [try noise(), try noise(seed: 2), try noise(.init(1), .prediction)] {
      let values = try drawn(noise, rows: 0..<20, width: 5)
      for row in 0..<20 { seen.insert(values.slice(rows: row..<row + 1).elements) }
    }
    #expect(seen.count == 60)
  }

  @Test func aRowTheJobDoesNotUseStaysAsItIs() throws {
    var values = Tensor<Float>(repeating: 2, shape: [3, 4])
    try noise().add(to: &values, numbers: [4, -1, 5], workers: Workers(threads: 1))
    #expect(values.slice(rows: 1..<2).elements == [2, 2, 2, 2])
    #expect(!values.slice(rows: 0..<1).elements.contains(2))
    #expect(!values.slice(rows: 2..<3).elements.contains(2))
  }

  /// A token keeps its noise wherever the secret order puts it and whichever samples come with it.
  @Test func aTokensNoiseGoesByItsSampleAndPlace() throws {
    let noise = try noise()
    func vectors(_ samples: [(number: Int32, places: [Int])], threads: Int = 1) throws -> [[Int]: [Double]] {
      var values = Tensor<Double>(zeros: [samples.reduce(0) { $0 + $1.places.count }, 3])
      try noise.add(to: &values, samples: samples, workers: Workers(threads: threads))
      var found: [[Int]: [Double]] = [:]
      var row = 0
      for sample in samples {
        for place in sample.places {
          found[[Int(sample.number), place]] = values.slice(rows: row..<row + 1).elements
          row += 1
        }
      }
      return found
    }
    let inOrder = try vectors([(4, [0, 1, 2, 3]), (9, [0, 1]), (2, [0])])
    #expect(inOrder.count == 7 && Set(inOrder.values).count == 7)
    #expect(try vectors([(2, [0]), (9, [1, 0]), (4, [2, 0, 3, 1])], threads: 3) == inOrder)
    #expect(try vectors([(9, [1, 0])]).allSatisfy { inOrder[$0.key] == $0.value })
  }

  /// Noise that is left out would be seen by nobody but the provider.
  @Test(arguments: [[], [1, 2], [1, 2, 3, 4]] as [[Int32]])
  func rowsAndTheirNumbersAreAsMany(_ numbers: [Int32]) throws {
    var values = Tensor<Float>(zeros: [3, 4])
    #expect(
      throws: MaskingError.shape(what: "the numbers of rows to noise", expected: [3], found: [numbers.count])
    ) { try noise().add(to: &values, numbers: numbers, workers: Workers(threads: 1)) }
    #expect(values.elements.allSatisfy { $0 == 0 })
  }

  @Test(arguments: [1, 2, 4, 5])
  func tokensAreThoseOfTheSamples(_ tokens: Int) throws {
    var values = Tensor<Float>(zeros: [tokens, 4])
    #expect(throws: MaskingError.shape(what: "the tokens to noise", expected: [tokens], found: [3])) {
      try noise().add(to: &values, samples: [(0, [1, 0]), (1, [0])], workers: Workers(threads: 1))
    }
    #expect(values.elements.allSatisfy { $0 == 0 })
  }

  /// A place that stands twice leaves another without noise.
  @Test(arguments: [[0, 0], [0, 2], [-1, 0]])
  func eachPlaceOfASampleIsNoisedOnce(_ places: [Int]) throws {
    var values = Tensor<Float>(zeros: [2, 4])
    #expect(
      throws: MaskingError.shape(what: "the places of a sample's tokens to noise", expected: [2], found: [1])
    ) { try noise().add(to: &values, samples: [(0, places)], workers: Workers(threads: 1)) }
  }

  @Test func noSamplesAndNoRows() throws {
    var values = Tensor<Float>(zeros: [0, 4])
    try noise().add(to: &values, numbers: [], workers: Workers(threads: 1))
    try noise().add(to: &values, samples: [], workers: Workers(threads: 1))
    #expect(values.count == 0)
  }
}
