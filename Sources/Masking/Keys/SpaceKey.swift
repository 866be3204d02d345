internal import Architecture
internal import Tensors

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
    rows: Tensor<Scalar>, _ direction: KeyDirection, workers: Workers
  ) -> Tensor<Scalar>

  /// Every column x of `columns` (w × n, or a vector of w) becomes K x.
  func transform<Scalar: FloatingElement>(
    columns: Tensor<Scalar>, _ direction: KeyDirection, workers: Workers
  ) -> Tensor<Scalar>

  /// Every row x (n × d, d ≤ w) becomes K [x; 0 …], with a 1 after the last feature when `offset` is set (d < w).
  func mask(inputs: Tensor<Element>, offset: Bool, workers: Workers) -> Tensor<Element>

  /// The same for sparse rows; a row's bits do not depend on the rows around it.
  func mask(inputs: SparseRows<Element>, offset: Bool, workers: Workers) -> Tensor<Element>

  /// |K|, entry by entry, when that is a key too: what second moments transform with. Nil for a rotation.
  var magnitudes: (any SpaceKey<Element>)? { get }

  /// Whether K moves numbers and changes nothing but signs, so that any format is exact.
  var movesNumbers: Bool { get }

  /// Where coordinates below w go as they are, negative ones staying what they are; nil unless K is a plain permutation.
  func positions(of coordinates: [Int32]) -> [Int32]?
}
