import Models
import Numerics
import Testing

@testable import Training

@Suite struct MemoryPlanTests {
  /// Intervals on a line can always be coloured with as many colours as overlap somewhere, and the allocator does.
  @Test(arguments: 1...20) func slotsAreAsManyAsMatricesLiveAtOnce(_ seed: Int) {
    let shapes = [3, 7].map { MatrixShape(columns: $0, domain: .tokens) }
    let noise = LayerHarness.noise(90, seed: UInt64(seed)).map { Int(($0 + 1) * 20) }
    let lifetimes = (0..<30).map { index in
      let start = noise[3 * index]
      return SlotAllocator.Lifetime(
        matrix: .value(index), shape: shapes[noise[3 * index + 1] % 2], turns: start...start + noise[3 * index + 2] / 4)
    }
    var allocator = SlotAllocator()
    let slots = allocator.assign(lifetimes)
    for (index, one) in lifetimes.enumerated() {
      #expect(slots[one.matrix].map { allocator.shapes[$0] } == one.shape)
      for other in lifetimes[(index + 1)...] where one.turns.overlaps(other.turns) {
        #expect(slots[one.matrix] != slots[other.matrix])
      }
    }
    for shape in shapes {
      let most = (0..<60).map { turn in lifetimes.count { $0.shape == shape && $0.turns.contains(turn) } }.max()
      #expect(allocator.shapes.count { $0 == shape } == most)
    }
  }

  @Test func plansThatNeverRunTogetherShareSlots() {
    var allocator = SlotAllocator()
    let shape = MatrixShape(columns: 3, domain: .samples)
    let lifetimes = [SlotAllocator.Lifetime(matrix: .value(1), shape: shape, turns: 0...1)]
    #expect(allocator.assign(lifetimes) == allocator.assign(lifetimes))
    #expect(allocator.shapes == [shape])
  }

  /// Gradients: a block's input and output (6 wide) and two of its inner values (10) at a time, and one of each in samples.
  /// Inference needs no more than that.
  @Test func gradientsReuseMemoryFromBlockToBlock() throws {
    let shapes = try SequenceHarness().settings(partRows: 4).plan().workingShapes
    #expect(shapes.count { $0 == MatrixShape(columns: 6, domain: .tokens) } == 2)
    #expect(shapes.count { $0 == MatrixShape(columns: 10, domain: .tokens) } == 2)
    #expect(shapes.count { $0.domain == .samples } == 2)
    #expect(shapes.count == 6)
  }

  /// The middle layer's backward pass has the most: its input, what it and the layer before keep, and two gradients.
  @Test func blocksThatAreComputedAgainShareOneSetOfMatrices() throws {
    let shapes = try SequenceHarness(recomputes: true).settings(partRows: 4).plan().workingShapes
    #expect(shapes.count { $0 == MatrixShape(columns: 6, domain: .tokens) } == 3)
    #expect(shapes.count { $0 == MatrixShape(columns: 10, domain: .tokens) } == 5)
    #expect(shapes.count { $0.domain == .samples } == 2)
    #expect(shapes.count == 10)
  }

  /// Parts of 4 samples of at most 9 tokens: 36 rows. Inference works on 1024 tokens at a time.
  @Test func theEstimateCountsEveryMatrix() throws {
    let weights = 3 * (60 + 100 + 60) + 18
    // The inputs of three blocks, their two inner values, and what they keep; the head's input.
    let part = 36 * (3 * 6 + 3 * 20 + 26 + 20 + 26) + 4 * 6
    let working = 1024 * (2 * 6 + 2 * 10 + 6 + 3)
    let elements = 3 * weights + 2 * part + working + 36 * 6
    let harness = SequenceHarness()
    #expect(TrainingEngine<Float>.memoryEstimate(try harness.settings(partRows: 4)) == 4 * elements)
    #expect(TrainingEngine<Double>.memoryEstimate(try harness.settings(partRows: 4)) == 8 * elements)
    // One part is the whole batch: three times the rows, once.
    let whole = 3 * weights + 3 * part + working + 108 * 6
    #expect(TrainingEngine<Float>.memoryEstimate(try harness.settings(partRows: nil)) == 4 * whole)
  }

  @Test func theEstimateOfFrozenBlocksLeavesOutTheirGradients() throws {
    // Trained: the head, of which nothing but the input is remembered; frozen blocks pass their values on.
    let working = 1024 * (2 * 6 + 2 * 10 + 6 + 3)
    let elements = 3 * 220 + 3 * 18 + 2 * 4 * 6 + working + 36 * 6
    #expect(
      TrainingEngine<Float>.memoryEstimate(try SequenceHarness(frozenBlocks: 3).settings(partRows: 4)) == 4 * elements)
  }

  @Test func theEstimateOfInferenceIsWeightsAndOneBlock() throws {
    let elements = 3 * 220 + 18 + 1024 * (2 * 6 + 2 * 10 + 6 + 3) + 36 * 6
    #expect(
      TrainingEngine<Float>.memoryEstimate(try SequenceHarness().settings(partRows: 4, trains: false)) == 4 * elements)
  }

  @Test func anEstimateThatOverflowsIsNone() throws {
    let settings = try EngineSettings(
      SequenceHarness(maximumTokens: .max).model, optimizer: nil, batchRows: 3, partRows: 2)
    #expect(TrainingEngine<Float>.memoryEstimate(settings) == nil)
  }
}
