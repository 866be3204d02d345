/// The two formats models are computed in: `Float` on the wire and in jobs, `Double` in the tests that prove exactness.
package protocol FloatingElement: TensorElement, BinaryFloatingPoint, MultipliableElement, LayerKernels, NormKernels,
  AttentionKernels, LossKernels, OptimizerKernels, ArrayKernels
{}

extension Float: FloatingElement {}
extension Double: FloatingElement {}
