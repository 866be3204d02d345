package import Models
package import Numerics

extension TrainingPrecision {
  /// How products are computed in it.
  package var products: ProductPrecision {
    switch self {
    case .float32: .full
    case .bfloat16x3: .bfloat16x3
    case .bfloat16: .bfloat16
    }
  }
}

extension Compute {
  /// The same workers for a model that computes in `precision`, with the best that this processor has.
  package func computing(in precision: TrainingPrecision) -> Compute {
    Compute(workers: workers, precision: precision.products)
  }
}
