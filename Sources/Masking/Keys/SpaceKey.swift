internal import Models
internal import Numerics

/// The secret K of one space, w × w with K⁻¹ = Kᵀ; each form a type of its own.
///
/// All forms are orthogonal maps, so what a key does to a vector of the space it also does to a gradient in it
/// (K⁻ᵀ = K) and to the rows of a weight that reads the space (A K⁻¹ is K applied to every row).
protocol SpaceKey<Element>: Sendable {
  associatedtype Element: FloatingElement

  /// w.
  var width: Int { get }
  var group: SymmetryGroup { get }

  /// Every row x of `rows` (n × w) becomes K x.
  func transform<Scalar: FloatingElement>(
    rows: Tensor<Scalar>, _ direction: KeyDirection, compute: Compute
  ) -> Tensor<Scalar>

  /// Every column x of `columns` (w × n, or a vector of w) becomes K x.
  func transform<Scalar: FloatingElement>(
    columns: Tensor<Scalar>, _ direction: KeyDirection, compute: Compute
  ) -> Tensor<Scalar>

  /// Every row x (n × d, d ≤ w) becomes K [x; 0 …], with a 1 after the last feature when `offset` is set (d < w).
  func mask(inputs: Tensor<Element>, offset: Bool, compute: Compute) -> Tensor<Element>

  /// The same for sparse rows; a row's bits do not depend on the rows around it.
  func mask(inputs: SparseRows<Element>, offset: Bool, compute: Compute) -> Tensor<Element>

  /// |K|, entry by entry, when that is a key too: what second moments transform with. Nil for a rotation.
  var magnitudes: (any SpaceKey<Element>)? { get }

  /// Whether K moves numbers and changes nothing but signs, so that any format is exact.
  var movesNumbers: Bool { get }

  /// Where coordinates below w go as they are, negative ones staying what they are; nil unless K is a plain permutation.
  func positions(of coordinates: [Int32]) -> [Int32]?

  /// The other way round: which coordinates stand at positions 0 ..< w; nil unless K is a plain permutation.
  func coordinates(at positions: [Int32]) -> [Int32]?
}

/// Which way a key is applied.
enum KeyDirection: Sendable {
  /// K.
  case mask
  /// K⁻¹, which is Kᵀ for every key here.
  case unmask
}

/// K = I: the space is not masked.
struct IdentityKey<Element: FloatingElement>: SpaceKey {
  let width: Int

  var group: SymmetryGroup { .trivial }
  var magnitudes: (any SpaceKey<Element>)? { self }

  var movesNumbers: Bool { true }

  func positions(of coordinates: [Int32]) -> [Int32]? { coordinates }

  func coordinates(at positions: [Int32]) -> [Int32]? { positions }

  func transform<Scalar: FloatingElement>(
    rows: Tensor<Scalar>, _ direction: KeyDirection, compute: Compute
  ) -> Tensor<Scalar> {
    rows
  }

  func transform<Scalar: FloatingElement>(
    columns: Tensor<Scalar>, _ direction: KeyDirection, compute: Compute
  ) -> Tensor<Scalar> {
    columns
  }

  func mask(inputs: Tensor<Element>, offset: Bool, compute: Compute) -> Tensor<Element> {
    let features = inputs.columns
    var masked = Tensor<Element>(zeros: [inputs.rows, width])
    masked.withUnsafeMutableBufferPointer { output in
      inputs.withUnsafeBufferPointer { input in
        for row in 0..<inputs.rows {
          let target = output[(row * width)...]
          _ = UnsafeMutableBufferPointer(rebasing: target.prefix(features))
            .update(fromContentsOf: input[(row * features)..<((row + 1) * features)])
          if offset { output[row * width + features] = 1 }
        }
      }
    }
    return masked
  }

  @specialized(where Element == Float)
  func mask(inputs: SparseRows<Element>, offset: Bool, compute: Compute) -> Tensor<Element> {
    var masked = Tensor<Element>(zeros: [inputs.rows, width])
    masked.withUnsafeMutableBufferPointer { output in
      for row in 0..<inputs.rows {
        if offset { output[row * width + inputs.columns] = 1 }
        for entry in inputs.starts[row]..<inputs.starts[row + 1] {
          output[row * width + Int(inputs.indices[entry])] += inputs.values[entry]
        }
      }
    }
    return masked
  }
}

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
