import Models
import Testing

@testable import Training

@Suite struct ModelTests {
  private func graph(
    features: Int = 3, padding: Int = 1, hidden: [Int] = [5, 4], outputs: Int = 2, adapter: Int? = nil
  ) throws -> ModelGraph {
    try .perceptron(
      input: HomogeneousColumns(features: features, padding: padding), adapter: adapter, hidden: hidden,
      activation: .relu, outputs: outputs)
  }

  @Test func aPerceptronHasPyTorchNamesAndAHomogeneousFirstLayer() throws {
    let structure = try Model(graph()).structure
    #expect(
      structure.parameters.map(\.name) == [
        "layers.0.weight", "layers.1.weight", "layers.1.bias", "layers.2.weight", "layers.2.bias",
      ])
    #expect(structure.parameters.map(\.shape) == [[5, 5], [4, 5], [4], [2, 4], [2]])
    let first = try #require(structure.parameters.first)
    #expect(first.biasName == "layers.0.bias")
    #expect(first.homogeneous == HomogeneousColumns(features: 3, padding: 1))
    #expect(structure.spaces.map(\.id.name) == ["input", "hidden.0", "hidden.1", "output"])
    #expect(structure.spaces.map(\.width) == [5, 5, 4, 2])
    #expect(structure.input == SpaceID("input") && structure.output == SpaceID("output"))
  }

  @Test func aLinearModelHasOneLayerAndNoActivation() throws {
    let structure = try Model(graph(hidden: [])).structure
    #expect(structure.parameters.map(\.name) == ["layers.0.weight"])
    #expect(structure.constraints.allSatisfy { $0.largest == .orthogonal })
  }

  @Test func anAdapterStandsBetweenTheInputAndTheFirstLayer() throws {
    let structure = try Model(graph(features: 4, padding: 0, adapter: 6)).structure
    #expect(
      structure.parameters.map(\.name) == [
        "adapter.weight", "layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias", "layers.2.weight",
        "layers.2.bias",
      ])
    #expect(structure.parameters.map(\.shape) == [[6, 5], [5, 6], [5], [4, 5], [4], [2, 4], [2]])
    #expect(structure.spaces.map(\.id.name) == ["input", "adapter", "hidden.0", "hidden.1", "output"])
    #expect(structure.spaces.map(\.width) == [5, 6, 5, 4, 2])
    let adapter = try #require(structure.parameters.first)
    #expect(adapter.biasName == "adapter.bias")
    #expect(adapter.homogeneous == HomogeneousColumns(features: 4, padding: 0))
    #expect(adapter.origin == .normal(deviation: 0.5))
    #expect(structure.parameters.dropFirst().allSatisfy { $0.homogeneous == nil && $0.origin == .linear })
    // Linear on both sides, so that nothing narrows its key.
    #expect(
      structure.constraints.filter { $0.space == SpaceID("adapter") }.map(\.largest) == [.orthogonal, .orthogonal])
  }

  @Test func anAdapterOfALinearModel() throws {
    let structure = try Model(graph(hidden: [], adapter: 6)).structure
    #expect(structure.parameters.map(\.name) == ["adapter.weight", "layers.0.weight", "layers.0.bias"])
    #expect(structure.spaces.map(\.id.name) == ["input", "adapter", "output"])
    #expect(structure.constraints.allSatisfy { $0.largest == .orthogonal })
  }

  @Test func anAdapterWithoutOutputsIsRefused() {
    #expect(throws: GraphError.outOfRange("width of adapter", value: 0, allowed: 1...1 << 24)) { try graph(adapter: 0) }
  }

  @Test(arguments: [
    (0, 1, [5], 2), (3, -1, [5], 2), (3, 5000, [5], 2), (3, 1, [0], 2), (3, 1, [5], 0), (3, 1, [-2], 1),
  ])
  func aWidthOutOfRangeIsRefused(_ sizes: (Int, Int, [Int], Int)) {
    #expect(throws: GraphError.self) {
      try graph(features: sizes.0, padding: sizes.1, hidden: sizes.2, outputs: sizes.3)
    }
  }

  @Test func aModelWhoseSizesOverflowIsRefused() {
    #expect(throws: GraphError.outOfRange("features", value: .max, allowed: 1...1 << 24)) {
      try graph(features: Int.max)
    }
    #expect(throws: GraphError.outOfRange("width of hidden.0", value: 1 << 40, allowed: 1...1 << 24)) {
      try graph(hidden: [1 << 40, 1 << 40])
    }
    #expect(throws: GraphError.tooManyParameters(limit: 1 << 40)) { try graph(hidden: [1 << 24, 1 << 24]) }
  }
}
