extension ModelGraph {
  /// A multi-layer perceptron: linear layers with one activation between them and none after the last. The first, "adapter" where there
  /// is one and else "layers.0", reads the homogeneous input and has its bias in the weight's column d; each later one has a bias of its own.
  ///
  /// An adapter stands before "layers.0" without an activation and starts from a Gaussian, [W | b] whole: W times a rotation is then
  /// distributed like W and says nothing of it. Its deviation of 1/√d keeps the size of standardised inputs.
  ///
  /// - Parameters:
  ///   - input: the input row in homogeneous coordinates.
  ///   - adapter: the adapter's width; nil for none.
  ///   - hidden: widths of the hidden layers, first to last; empty for a linear model.
  /// - Throws: `GraphError` for a width below 1 or beyond its limit.
  package static func perceptron(
    input: HomogeneousColumns, adapter: Int? = nil, hidden: [Int], activation: Activation, outputs: Int
  ) throws(GraphError) -> ModelGraph {
    // Before their sum is formed and the root of a negative number is taken.
    for (what, value, limit) in [
      ("features", input.features, 1...GraphValidation.maxWidth),
      ("padding", input.padding, 0...GraphValidation.maxPadding),
    ] where !limit.contains(value) {
      throw .outOfRange(what, value: value, allowed: limit)
    }
    var builder = GraphBuilder(input: Space(id: SpaceID("input"), width: input.width, homogeneous: input))
    var value = GraphBuilder.input
    if let adapter {
      let space = SpaceID("adapter")
      builder.add(Space(id: space, width: adapter))
      let deviation = 1 / Double(input.features).squareRoot()
      value = builder.add(
        "adapter",
        .linear(
          LinearOperation(
            from: value, to: space, parameters: LinearParameters(weightOrigin: .normal(deviation: deviation)))))
    }
    for (number, width) in (hidden + [outputs]).enumerated() {
      let isLast = number == hidden.count
      let space = SpaceID(isLast ? "output" : "hidden.\(number)")
      builder.add(Space(id: space, width: width))
      value = builder.add(
        "layers.\(number)", .linear(LinearOperation(from: value, to: space, activation: isLast ? nil : activation)))
    }
    return try builder.graph()
  }
}
