import Tensors

/// The rotation K and the scale s for which s · target · Kᵀ comes nearest to some rows (Schönemann and Carroll, Psychometrika 35, 1970).
struct ScaledRotation {
  let rotation: Tensor<Double>
  /// ⟨rowsᵀ target, K⟩ / ‖target‖².
  let scale: Double

  /// Nil where the rotation cannot be told.
  init?(of rows: Tensor<Double>, from target: Tensor<Double>, workers: Workers) {
    let products = rows.times(target, transposed: true, workers: workers)
    guard let rotation = try? SingularValues(of: products).nearestIsometry(tolerance: 1e-9, workers: workers) else {
      return nil
    }
    let squares = target.squaredNorms.reduce(0, +)
    self.rotation = rotation
    scale = zip(products.elements, rotation.elements).reduce(0) { $0 + $1.0 * $1.1 } / max(1e-300, squares)
  }
}
