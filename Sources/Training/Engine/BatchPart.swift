import Tensors

/// A part of a batch between its forward and its backward pass.
struct BatchPart<Element: FloatingElement> {
  /// Samples of the batch.
  let rows: Range<Int>
  let sequences: SequenceLayout
  let memory: MatrixMemory<Element>
}
