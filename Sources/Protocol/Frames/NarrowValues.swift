package import Numerics

/// A model's inputs, outputs and their gradients as they travel where a job computes in bfloat16 numbers, whatever format this side has.
extension Tensor where Element: FloatingElement {
  /// Every number rounded to the nearest bfloat16 number, of two as near the one with an even last bit.
  package var narrowed: Tensor<BFloat16> {
    let floats: Tensor<Float> = converted()
    return floats.bfloat16
  }

  /// The same numbers.
  package init(widening narrow: Tensor<BFloat16>) {
    self = narrow.widened.converted()
  }
}
