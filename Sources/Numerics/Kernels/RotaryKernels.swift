import CKernels

/// Rotary positions.
package protocol RotaryKernels: StoredElement {
  /// y = x with coordinates (i, i + half) of each of `heads` heads turned by the sum of two angles, backwards if `reverses`;
  /// added to y if `accumulates`. `coarse` and `fine` hold `half` cosines each and then `half` sines.
  static func rotate(
    heads: Int, half: Int, _ x: UnsafePointer<Self>, coarse: UnsafePointer<Double>, fine: UnsafePointer<Double>,
    reverses: Bool, into y: UnsafeMutablePointer<Self>, accumulates: Bool)
}

extension Float: RotaryKernels {
  package static func rotate(
    heads: Int, half: Int, _ x: UnsafePointer<Float>, coarse: UnsafePointer<Double>, fine: UnsafePointer<Double>,
    reverses: Bool, into y: UnsafeMutablePointer<Float>, accumulates: Bool
  ) {
    ckernels_rotate_float(heads, half, x, coarse, fine, reverses, y, accumulates)
  }
}

extension Double: RotaryKernels {
  package static func rotate(
    heads: Int, half: Int, _ x: UnsafePointer<Double>, coarse: UnsafePointer<Double>, fine: UnsafePointer<Double>,
    reverses: Bool, into y: UnsafeMutablePointer<Double>, accumulates: Bool
  ) {
    ckernels_rotate_double(heads, half, x, coarse, fine, reverses, y, accumulates)
  }
}
