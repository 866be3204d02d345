import Architecture

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
