import Architecture
import Tensors

extension Model {
  /// "layers.0" reads the homogeneous input and has its bias in the weight's column d; each later layer has a bias of
  /// its own; the activation stands after every layer but the last.
  init(_ description: MLPDescription) throws(TrainingError) {
    let input = description.input
    guard input.features >= 1 else { throw .invalidModel("a row needs at least 1 feature, not \(input.features)") }
    guard (0...4096).contains(input.padding) else { throw .invalidModel("padding must be 0 to 4096") }
    // Before any sum is formed, so that no width below can overflow.
    let widths = description.hidden + [description.outputs]
    guard widths.allSatisfy({ $0 >= 1 }) else { throw .invalidModel("every layer needs at least 1 output") }
    guard input.features <= Int.max / 2 else { throw .tooLarge }

    var values = [ModelValue(space: SpaceID("input"), width: input.width)]
    var layers: [LinearLayer] = []
    for (index, width) in widths.enumerated() {
      let isLast = index == widths.count - 1
      let source = values[index]
      guard Shape.byteCount([width, source.width], .float64) != nil else { throw .tooLarge }
      let space = SpaceID(isLast ? "output" : "hidden.\(index)")
      values.append(ModelValue(space: space, width: width))
      layers.append(
        LinearLayer(
          name: "layers.\(index)", from: index, source, to: index + 1, values[index + 1],
          homogeneous: index == 0 ? input : nil, activation: isLast ? nil : description.activation))
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
