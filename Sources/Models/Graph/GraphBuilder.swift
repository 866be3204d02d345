/// Grows a graph layer by layer: adds spaces, numbers values, and puts low-rank adapters where the job wants them.
///
/// Each `add…` returns the number of the value that the new layer writes.
package struct GraphBuilder: Sendable {
  private let maximumTokens: Int?
  private let rotaryFrequencies: [Double]
  private let trained: TrainedPart
  private let recomputes: Bool
  private var spaces: [Space] = []
  private var spaceIDs: Set<SpaceID> = []
  private var layers: [GraphLayer] = []
  private var blocks: [Range<Int>] = []
  /// Last components of the names of the linear layers that an adapter may target, in order of first use.
  private var adaptableNames: [String] = []

  /// - Parameters:
  ///   - maximumTokens: nil where a sample is one row.
  ///   - trained: of the weights of a pretrained model.
  ///   - recomputes: whether `addBlock` marks blocks that are computed again in the backward pass.
  package init(
    input: Space, maximumTokens: Int? = nil, rotaryFrequencies: [Double] = [], trained: TrainedPart = .all,
    recomputes: Bool = false
  ) {
    self.maximumTokens = maximumTokens
    self.rotaryFrequencies = rotaryFrequencies
    self.trained = trained
    self.recomputes = recomputes
    add(input)
  }

  /// The graph's input.
  package static let input = 0

  /// Adds a space, unless there is one of its name.
  package mutating func add(_ space: Space) {
    if spaceIDs.insert(space.id).inserted { spaces.append(space) }
  }

  package mutating func add(_ name: String, _ operation: LayerOperation) -> Int {
    layers.append(GraphLayer(name, operation))
    return layers.count
  }

  // MARK: - Layers of a pretrained model

  /// A linear layer of the pretrained model, with an adapter if the job has one for it.
  package mutating func addLinear(
    _ name: String, from input: Int, to space: SpaceID, hasBias: Bool, activation: Activation? = nil,
    residual: Int? = nil, biasIsWithoutEffect: Bool = false
  ) -> Int {
    let component = String(name.split(separator: ".").last ?? "")
    if !adaptableNames.contains(component) { adaptableNames.append(component) }
    var lowRank: LowRankAddition?
    if let adaptation = trained.adaptation, adaptation.targets.contains(component) {
      let rank = SpaceID("\(name).rank")
      add(Space(id: rank, width: adaptation.rank))
      lowRank = LowRankAddition(rank: rank, scale: adaptation.scale)
    }
    let parameters = LinearParameters.pretrained(
      hasBias: hasBias, isTrained: trained == .all, biasIsWithoutEffect: biasIsWithoutEffect)
    return add(
      name,
      .linear(
        LinearOperation(
          from: input, to: space, activation: activation, residual: residual, parameters: parameters, lowRank: lowRank))
    )
  }

  package mutating func addLayerNorm(_ name: String, from input: Int, epsilon: Double) -> Int {
    add(name, .layerNorm(LayerNormOperation(from: input, epsilon: epsilon, isTrained: trained == .all)))
  }

  package mutating func addRootMeanSquareNorm(_ name: String, from input: Int, epsilon: Double) -> Int {
    add(name, .rootMeanSquareNorm(RootMeanSquareNormOperation(from: input, epsilon: epsilon)))
  }

  /// The linear layer that makes the outputs, in the space "output": fresh and trained, or the checkpoint's own.
  ///
  /// - Parameter isPretrained: whether it is the checkpoint's (a language model's head). It is trained with the rest, adapted where an
  ///   adapter targets it, or trained alone with `trained: .head`.
  package mutating func addHead(
    _ name: String, from input: Int, outputs: Int, hasBias: Bool, isPretrained: Bool = false
  ) {
    let output = SpaceID("output")
    add(Space(id: output, width: outputs))
    guard isPretrained, trained != .head else {
      let parameters: LinearParameters =
        isPretrained ? .pretrained(hasBias: hasBias, isTrained: true) : .classifier(hasBias: hasBias)
      _ = add(name, .linear(LinearOperation(from: input, to: output, parameters: parameters)))
      return
    }
    _ = addLinear(name, from: input, to: output, hasBias: hasBias)
  }

  // MARK: - The whole

  /// Marks the layers that `build` adds as one block.
  package mutating func addBlock(_ build: (inout GraphBuilder) -> Int) -> Int {
    let first = layers.count
    let output = build(&self)
    if recomputes { blocks.append(first..<layers.count) }
    return output
  }

  /// - Throws: `GraphError.unknownTarget` for an adapter's target that no linear layer has; as `ModelGraph.init`.
  package func graph() throws(GraphError) -> ModelGraph {
    if let adaptation = trained.adaptation {
      guard !adaptation.targets.isEmpty else { throw .settings("an adapter needs at least one target") }
      for target in adaptation.targets where !adaptableNames.contains(target) {
        throw .unknownTarget(target, known: adaptableNames)
      }
    }
    return try ModelGraph(
      spaces: spaces, maximumTokens: maximumTokens, rotaryFrequencies: rotaryFrequencies, layers: layers,
      recomputedBlocks: blocks)
  }
}
