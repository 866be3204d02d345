import Tensors

/// Which rows are said to have the same label.
package struct LabelClaim: Sendable {
  enum Labels: Sendable {
    /// A cluster for each row; negative where nothing is said.
    case classes([Int])
    /// Columns of 0 and 1 (which of the two is yes remains open), −1 where nothing is said; each in the order of the rows.
    case binaries([[Int]])
    /// `[m, columns]`, up to scale and sign.
    case numbers(Tensor<Double>)
  }

  let labels: Labels
  /// Rows of each sample where each of its tokens has a label; nil where a row is a sample.
  let lengths: [Int32]?
}
