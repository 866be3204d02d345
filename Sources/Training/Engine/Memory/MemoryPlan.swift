/// What an engine must remember between a part's forward pass and its backward pass, and what memory passes can share.
///
/// Everything that lives only during one pass shares the slots of one working memory by liveness: gradients of values,
/// the activations of inference, those of layers that no gradient reaches, and, where activations are computed again,
/// everything inside a block.
struct MemoryPlan {
  /// Matrices that each part in flight has of its own.
  let partShapes: [MatrixShape]
  /// Matrices of the working memory.
  let workingShapes: [MatrixShape]
  let forward: PassPlan
  let backward: PassPlan
  let inference: PassPlan

  /// - Parameters:
  ///   - trains: false for inference alone.
  ///   - recomputes: whether only what crosses the borders of `model.blocks` is kept for the backward pass.
  ///   - keepsOutputGradient: whether the output's gradient comes before the backward pass, in parts.
  init(_ model: Model, flow: GradientFlow, trains: Bool, recomputes: Bool, keepsOutputGradient: Bool) {
    var slots = SlotAllocator()
    let allForward = model.layers.indices.map { LayerPass.forward(layer: $0) }
    guard trains else {
      partShapes = []
      (forward, backward) = (PassPlan(passes: [], places: [:]), PassPlan(passes: [], places: [:]))
      inference = Self.inference(model, allForward, &slots)
      workingShapes = slots.shapes
      return
    }
    let schedule = BackwardSchedule(model, flow: flow, blocks: recomputes ? model.blocks : [])
    var parts: [ModelMatrix: PassPlan.Place] = [:]
    var shapes: [MatrixShape] = []
    for matrix in schedule.remembered(keepsOutputGradient: keepsOutputGradient) {
      parts[matrix] = .part(shapes.count)
      shapes.append(model.shape(of: matrix))
    }
    partShapes = shapes
    forward = Self.plan(model, flow, allForward, remembered: parts, &slots)
    backward = Self.plan(model, flow, schedule.passes, remembered: parts, &slots)
    inference = Self.inference(model, allForward, &slots)
    workingShapes = slots.shapes
  }

  private static func inference(
    _ model: Model, _ passes: [LayerPass], _ slots: inout SlotAllocator
  ) -> PassPlan {
    let lifetimes = lifetimes(model, passes) { layer in
      (model.layers[layer].inputs.filter { $0 != 0 } + [model.layers[layer].output]).map(ModelMatrix.value)
    } backward: { _ in
      []
    }
    return PassPlan(passes: passes, places: slots.assign(lifetimes).mapValues { .working($0) })
  }

  private static func plan(
    _ model: Model, _ flow: GradientFlow, _ passes: [LayerPass], remembered: [ModelMatrix: PassPlan.Place],
    _ slots: inout SlotAllocator
  ) -> PassPlan {
    let lifetimes = lifetimes(model, passes) { layer in
      model.matricesOfForward(layer, keeps: flow.reachesLayer[layer])
    } backward: { layer in
      model.matricesOfBackward(layer, flow)
    }
    let working = slots.assign(lifetimes.filter { remembered[$0.matrix] == nil })
    var places: [ModelMatrix: PassPlan.Place] = working.mapValues { .working($0) }
    for lifetime in lifetimes { places[lifetime.matrix] = places[lifetime.matrix] ?? remembered[lifetime.matrix] }
    return PassPlan(passes: passes, places: places)
  }

  /// From a matrix's first turn to its last. What comes from outside, the model's input and the output's gradient, is there from
  /// the start.
  private static func lifetimes(
    _ model: Model, _ passes: [LayerPass], forward: (Int) -> [ModelMatrix], backward: (Int) -> [ModelMatrix]
  ) -> [SlotAllocator.Lifetime] {
    var result: [SlotAllocator.Lifetime] = []
    var positions: [ModelMatrix: Int] = [:]
    for (turn, pass) in passes.enumerated() {
      let touched =
        switch pass {
        case .forward(let layer): forward(layer)
        case .backward(let layer): backward(layer)
        }
      for matrix in touched {
        if let position = positions[matrix] {
          result[position].turns = result[position].turns.lowerBound...turn
        } else {
          positions[matrix] = result.count
          let isGiven = matrix == .value(0) || matrix == .gradient(model.outputValue)
          result.append(
            SlotAllocator.Lifetime(
              matrix: matrix, shape: model.shape(of: matrix), turns: (isGiven ? 0 : turn)...turn))
        }
      }
    }
    return result
  }
}

extension Model {
  /// What the forward pass of a layer reads and writes.
  func matricesOfForward(_ layer: Int, keeps: Bool) -> [ModelMatrix] {
    let layerKeeps = keeps && layers[layer].keptColumns > 0
    return layers[layer].inputs.map(ModelMatrix.value) + [.value(layers[layer].output)]
      + (layerKeeps ? [.kept(layer)] : [])
  }

  /// What the backward pass of a layer reads and writes.
  func matricesOfBackward(_ layer: Int, _ flow: GradientFlow) -> [ModelMatrix] {
    layers[layer].valuesReadBackward.map(ModelMatrix.value)
      + (layers[layer].keptColumns > 0 ? [.kept(layer)] : []) + [.gradient(layers[layer].output)]
      + layers[layer].inputs.filter { flow.reachesValue[$0] }.map(ModelMatrix.gradient)
  }
}
