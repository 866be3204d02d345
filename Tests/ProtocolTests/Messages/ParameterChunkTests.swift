import Models
import Numerics
import Testing

@testable import Protocol

/// Weights cut into chunks and put together again.
struct ParameterChunkTests {
  private let specifications = [
    ParameterSpecification(name: "layers.0.weight", shape: [5, 3], rows: SpaceID("a"), columns: SpaceID("b")),
    ParameterSpecification(name: "layers.0.bias", shape: [5], rows: SpaceID("a"), columns: nil),
  ]

  /// Rows of 3 · 4 bytes: two fit 24 bytes; a bias is 6 elements of 4 bytes to a chunk.
  @Test func chunksAreWholeRowsWithinTheLimit() {
    let chunks = ParameterChunks(specifications, elementBytes: 4, largestBytes: 24)
    #expect(chunks.chunks.map(\.parameter) == [0, 0, 0, 1])
    #expect(chunks.chunks.map(\.rows) == [0..<2, 2..<4, 4..<5, 0..<5])
    #expect(chunks.chunks.map(\.shape) == [[2, 3], [2, 3], [1, 3], [5]])
  }

  @Test func aRowWiderThanTheLimitTravelsAlone() {
    let chunks = ParameterChunks(specifications, elementBytes: 4, largestBytes: 1)
    #expect(chunks.count == 10)
    #expect(chunks.chunks.allSatisfy { $0.rows.count == 1 })
  }

  @Test(arguments: [1, 24, 1000])
  func extractedChunksPutTogetherAreTheWeights(_ limit: Int) throws {
    let weights: [Tensor<Float>] = [
      Tensor((0..<15).map { Float($0) }, shape: [5, 3]), Tensor((20..<25).map { Float($0) }, shape: [5]),
    ]
    let chunks = ParameterChunks(specifications, elementBytes: 4, largestBytes: limit)
    var copies: [Tensor<Float>] = [Tensor(zeros: [5, 3]), Tensor(zeros: [5])]
    for number in (0..<chunks.count).reversed() {
      try chunks.place(chunks.extract(number, from: weights), number: number, into: &copies)
    }
    #expect(copies == weights)
  }

  @Test(arguments: [-1, 4, .max])
  func chunkThatDoesNotExist(_ number: Int) {
    let chunks = ParameterChunks(specifications, elementBytes: 4, largestBytes: 24)
    var copies: [Tensor<Float>] = [Tensor(zeros: [5, 3]), Tensor(zeros: [5])]
    #expect(throws: WireError.outOfOrder("weight chunk \(number) of 4")) {
      try chunks.place(Tensor(zeros: [2, 3]), number: number, into: &copies)
    }
  }

  @Test(arguments: [[3, 2], [6], [1, 3], [2, 3, 1]])
  func chunkOfAnotherShape(_ shape: [Int]) {
    let chunks = ParameterChunks(specifications, elementBytes: 4, largestBytes: 24)
    var copies: [Tensor<Float>] = [Tensor(zeros: [5, 3]), Tensor(zeros: [5])]
    #expect(throws: WireError.misshapen("weight chunk 0 is \(shape), not [2, 3]")) {
      try chunks.place(Tensor(zeros: shape), number: 0, into: &copies)
    }
  }
}
