import Tensors
import Training

/// The inputs of one part of a batch.
struct ReplicaInputs<Element: FloatingElement>: Sendable {
  /// [samples or tokens, width].
  let values: Tensor<Element>
  /// Nil where a sample is one row.
  let sequences: SequenceLayout?

  var samples: Int { sequences?.samples ?? values.rows }
  /// What a pass over them costs, in units that only compare: rows or tokens.
  var cost: Int { values.rows }

  func write(to destination: UnsafeMutableBufferPointer<Element>) {
    values.withUnsafeBufferPointer { _ = destination.update(fromContentsOf: $0) }
  }
}
