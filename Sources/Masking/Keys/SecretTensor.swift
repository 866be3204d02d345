internal import Numerics

/// A tensor of key material, overwritten with zeros when the last reference is released. It is never handed out whole, because a
/// copy would outlive the zeroing.
///
/// `@unchecked Sendable`: the elements change only in `init`, before there is another reference, and in `deinit`,
/// after the last one.
final class SecretTensor<Element: TensorElement>: @unchecked Sendable {
  private var tensor: Tensor<Element>
  let shape: [Int]

  /// `fill` writes every element.
  init<Failure: Error>(
    shape: [Int], _ fill: (UnsafeMutableBufferPointer<Element>) throws(Failure) -> Void
  ) throws(Failure) {
    var tensor = Tensor<Element>(uninitialized: shape)
    try tensor.withUnsafeMutableBufferPointer(fill)
    self.tensor = tensor
    self.shape = shape
  }

  deinit {
    tensor.eraseSecret()
  }

  func withUnsafeBufferPointer<Result, Failure: Error>(
    _ body: (UnsafeBufferPointer<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try tensor.withUnsafeBufferPointer(body)
  }
}

extension SecretTensor where Element: FloatingElement {
  /// The same numbers in another format; this tensor itself when the formats agree.
  func converted<Target: FloatingElement>() -> SecretTensor<Target> {
    if let same = self as? SecretTensor<Target> { return same }
    let (rows, columns) = (shape[0], shape.dropFirst().reduce(1, *))
    return SecretTensor<Target>(shape: shape) { copy(rows: 0..<rows, columns: 0..<columns, into: $0) }
  }

  /// A rectangle of the matrix, rounded or widened; what follows the first dimension counts as columns.
  @specialized(where Element == Float, Target == Float)
  @specialized(where Element == Float, Target == Double)
  @specialized(where Element == Double, Target == Float)
  @specialized(where Element == Double, Target == Double)
  func copy<Target: FloatingElement>(
    rows: Range<Int>, columns: Range<Int>, into target: UnsafeMutableBufferPointer<Target>
  ) {
    let stride = shape.dropFirst().reduce(1, *)
    withUnsafeBufferPointer { source in
      for row in rows {
        let start = row * stride + columns.lowerBound
        let position = (row - rows.lowerBound) * columns.count
        for column in 0..<columns.count { target[position + column] = Target(source[start + column]) }
      }
    }
  }
}
