package import Tensors

/// The labels of all rows, in memory.
package enum LabelColumn: Sendable, Equatable {
  case classes(ClassLabels)
  /// N × T; NaN means missing.
  case values(Tensor<Float>)

  package var rows: Int {
    switch self {
    case .classes(let labels): labels.ids.count
    case .values(let values): values.rows
    }
  }
}
