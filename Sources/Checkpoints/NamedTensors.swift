package import Tensors

/// Tensors under names, in a fixed order: the weights of a model, or the state of an optimizer.
///
/// A container to save, send and convert. Two are equal when names, order, shapes and elements are.
package struct NamedTensors<Element: TensorElement>: Sendable, Equatable {
  package private(set) var names: [String] = []
  private var tensors: [Tensor<Element>] = []
  private var positions: [String: Int] = [:]

  package init() {}

  /// In the order given; a name that comes again replaces the tensor and keeps the place.
  package init(_ pairs: some Sequence<(String, Tensor<Element>)>) {
    for (name, tensor) in pairs { self[name] = tensor }
  }

  /// The tensor called `name`; setting adds at the end, replaces in place, or with nil removes.
  package subscript(name: String) -> Tensor<Element>? {
    get { positions[name].map { tensors[$0] } }
    set {
      switch (positions[name], newValue) {
      case (let position?, let tensor?): tensors[position] = tensor
      case (nil, let tensor?):
        positions[name] = names.count
        names.append(name)
        tensors.append(tensor)
      case (let position?, nil):
        names.remove(at: position)
        tensors.remove(at: position)
        positions = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
      case (nil, nil): break
      }
    }
  }

  /// Names and shapes, in order.
  package var descriptions: [TensorDescription] {
    map { TensorDescription(name: $0.name, shape: $0.tensor.shape) }
  }
}

extension NamedTensors: RandomAccessCollection {
  package var startIndex: Int { 0 }
  package var endIndex: Int { names.count }

  package subscript(position: Int) -> (name: String, tensor: Tensor<Element>) {
    (names[position], tensors[position])
  }
}
