import Tensors

/// An update rule with its memory.
protocol Optimizer<Element>: AnyObject {
  associatedtype Element: FloatingElement

  /// All of it that outlives a step; zeros before the first.
  var state: [OptimizerStateTensor<Element>] { get }

  /// Updates parameter number `index` (in `ModelStructure.parameters` order) from its gradient, which stays as it is.
  func update(
    _ index: Int, parameter: MatrixBuffer<Element>, gradient: MatrixBuffer<Element>, _ settings: UpdateSettings,
    workers: Workers)
}
