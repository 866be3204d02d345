/// The passes that lead from the output's gradient to those of the parameters, blocks that are computed again included.
struct BackwardSchedule {
  private let model: Model
  private let flow: GradientFlow
  /// By value: the block outside of which nobody reads it, where that block is computed again.
  private let innerBlock: [Int?]
  /// By layer: its block, where that is computed again.
  private let blockOfLayer: [Int?]
  let passes: [LayerPass]

  /// - Parameter blocks: ranges of layers of which only what crosses their borders is kept; empty where everything is.
  init(_ model: Model, flow: GradientFlow, blocks: [Range<Int>]) {
    self.model = model
    self.flow = flow
    // A block that no gradient reaches is not looked at again.
    let blocks = blocks.filter { $0.contains { flow.reachesLayer[$0] } }
    var ofLayer = [Int?](repeating: nil, count: model.layers.count)
    for (number, block) in blocks.enumerated() {
      for layer in block { ofLayer[layer] = number }
    }
    blockOfLayer = ofLayer
    var inner = [Int?](repeating: nil, count: model.values.count)
    for (index, layer) in model.layers.enumerated() where layer.output != model.outputValue {
      inner[layer.output] = ofLayer[index]
    }
    for (index, layer) in model.layers.enumerated() {
      for input in layer.inputs where inner[input] != ofLayer[index] { inner[input] = nil }
    }
    innerBlock = inner

    var passes: [LayerPass] = []
    for index in model.layers.indices.reversed() {
      if let number = ofLayer[index], blocks[number].upperBound == index + 1 {
        passes += Self.again(model, flow, blocks[number], number, inner)
      }
      if flow.reachesLayer[index] { passes.append(.backward(layer: index)) }
    }
    self.passes = passes
  }

  /// The layers of a block whose results its backward pass needs and nobody has.
  private static func again(
    _ model: Model, _ flow: GradientFlow, _ block: Range<Int>, _ number: Int, _ inner: [Int?]
  ) -> [LayerPass] {
    var needed = Set<Int>()
    for index in block where flow.reachesLayer[index] {
      needed.formUnion(model.layers[index].valuesReadBackward)
    }
    var result: [LayerPass] = []
    for index in block.reversed() {
      let layer = model.layers[index]
      let isMissing = inner[layer.output] == number && needed.contains(layer.output)
      guard isMissing || (flow.reachesLayer[index] && layer.keptColumns > 0) else { continue }
      needed.formUnion(layer.inputs)
      result.append(.forward(layer: index))
    }
    return result.reversed()
  }

  /// What must outlive the forward pass: all that these passes read, but for what they make themselves. In the order of the
  /// forward pass.
  func remembered(keepsOutputGradient: Bool) -> [ModelMatrix] {
    var read = Set<ModelMatrix>()
    for pass in passes {
      switch pass {
      case .forward(let layer): read.formUnion(model.layers[layer].inputs.map(ModelMatrix.value))
      case .backward(let layer): read.formUnion(model.matricesOfBackward(layer, flow))
      }
    }
    var result: [ModelMatrix] = []
    for value in model.values.indices where read.contains(.value(value)) && innerBlock[value] == nil {
      result.append(.value(value))
    }
    for layer in model.layers.indices where read.contains(.kept(layer)) && blockOfLayer[layer] == nil {
      result.append(.kept(layer))
    }
    if keepsOutputGradient { result.append(.gradient(model.outputValue)) }
    return result
  }
}
