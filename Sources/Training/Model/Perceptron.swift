import Models
import Numerics

extension Model {
  /// The first layer, "adapter" where there is one and else "layers.0", reads the homogeneous input and has its bias in the weight's
  /// column d; each later layer has a bias of its own; the activation stands after every layer but the adapter and the last.
  ///
  /// An adapter starts from a Gaussian, [W | b] whole: W times a rotation is then distributed like W and says nothing of it. Its
  /// deviation of 1/√d keeps the size of standardised inputs.
  init(_ description: MLPDescription) throws(TrainingError) {
    let input = description.input
    guard input.features >= 1 else { throw .invalidModel("a row needs at least 1 feature, not \(input.features)") }
    guard (0...4096).contains(input.padding) else { throw .invalidModel("padding must be 0 to 4096") }
    // Before any sum is formed, so that no width below can overflow.
    let adapters = description.adapter.map { [$0] } ?? []
    let widths = adapters + description.hidden + [description.outputs]
    guard widths.allSatisfy({ $0 >= 1 }) else { throw .invalidModel("every layer needs at least 1 output") }
    guard input.features <= Int.max / 2 else { throw .tooLarge }

    var values = [ModelValue(space: SpaceID("input"), width: input.width)]
    var layers: [LinearLayer] = []
    for (index, width) in widths.enumerated() {
      let isLast = index == widths.count - 1
      let source = values[index]
      guard Shape.byteCount([width, source.width], .float64) != nil else { throw .tooLarge }
      let number = index - adapters.count
      let isAdapter = number < 0
      let space = SpaceID(isAdapter ? "adapter" : isLast ? "output" : "hidden.\(number)")
      values.append(ModelValue(space: space, width: width))
      layers.append(
        LinearLayer(
          name: isAdapter ? "adapter" : "layers.\(number)", from: index, source, to: index + 1, values[index + 1],
          homogeneous: index == 0 ? input : nil, activation: isAdapter || isLast ? nil : description.activation,
          isAdapter
            ? LinearParameters(weightOrigin: .normal(deviation: 1 / Double(input.features).squareRoot()))
            : LinearParameters()))
    }
    let spaces = values.enumerated().map { index, value in
      Space(id: value.space, width: value.width, homogeneous: index == 0 ? input : nil)
    }
    self.init(
      structure: ModelStructure(
        spaces: spaces, layers: layers, input: SpaceID("input"), output: SpaceID("output")),
      values: values, layers: layers)
  }
}
