import Models

/// One layer's turn in a pass over a model.
enum LayerPass: Equatable {
  /// By the layer's place in `Model.layers`. For the first time, or again because its results were not kept.
  case forward(layer: Int)
  case backward(layer: Int)
}

/// The order in which layers run in a pass over a model, and the memory of every matrix that they touch.
struct PassPlan {
  enum Place: Equatable {
    /// Lives as long as the part of a batch that the pass is over: a number into `MemoryPlan.partShapes`.
    case part(Int)
    /// Lives during the pass only: a slot of the working memory.
    case working(Int)
  }

  let passes: [LayerPass]
  /// A value that is not here is the caller's; where a layer's `kept` is not here, it keeps nothing.
  let places: [ModelMatrix: Place]
}

/// The rows of a pass: whole samples, and their tokens where samples are sequences.
struct RowSpan: Equatable {
  let samples: Range<Int>
  /// Empty where a sample is one row.
  let tokens: Range<Int>

  init(samples: Range<Int>) {
    self.samples = samples
    tokens = 0..<0
  }

  /// All samples of a part.
  init(_ sequences: SequenceLayout) {
    samples = 0..<sequences.samples
    tokens = 0..<sequences.tokens
  }

  func rows(_ domain: RowDomain) -> Range<Int> {
    switch domain {
    case .samples: samples
    case .tokens: tokens
    }
  }
}

/// Where gradients flow in a model: from its output back to the first parameters that are trained, and no further.
struct GradientFlow {
  /// By value: whether ∂L/∂value is needed.
  let reachesValue: [Bool]
  /// By layer: whether its backward pass runs.
  let reachesLayer: [Bool]

  init(_ model: Model) {
    // Something trained lies at or before the value …
    var depends = [Bool](repeating: false, count: model.values.count)
    for layer in model.layers {
      depends[layer.output] = layer.parameters.contains(where: \.isTrained) || layer.inputs.contains { depends[$0] }
    }
    // … and the output is computed from it.
    var matters = [Bool](repeating: false, count: model.values.count)
    if matters.indices.contains(model.outputValue) { matters[model.outputValue] = true }
    for layer in model.layers.reversed() where matters[layer.output] {
      for input in layer.inputs { matters[input] = true }
    }
    let reached = zip(depends, matters).map { $0 && $1 }
    reachesValue = reached
    reachesLayer = model.layers.map { reached[$0.output] }
  }

  /// Whether nothing would change in training.
  var isEmpty: Bool { !reachesLayer.contains(true) }
}

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
      guard isMissing || (flow.reachesLayer[index] && !model.matricesKept(by: index).isEmpty) else { continue }
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
    for layer in model.layers.indices where blockOfLayer[layer] == nil {
      result += model.matricesKept(by: layer).filter(read.contains)
    }
    if keepsOutputGradient { result.append(.gradient(model.outputValue)) }
    return result
  }
}
