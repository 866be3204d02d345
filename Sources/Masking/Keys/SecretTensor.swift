internal import Tensors

/// A tensor of key material, overwritten with zeros when the last reference goes. It is never handed out whole, because a
/// copy would outlive the zeroing.
///
/// `@unchecked Sendable`: the elements change only in `init`, before anyone else has a reference, and in `deinit`, when
/// no one has.
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
    return SecretTensor<Target>(shape: shape) { target in
      withUnsafeBufferPointer { convert($0, into: target) }
    }
  }
}
