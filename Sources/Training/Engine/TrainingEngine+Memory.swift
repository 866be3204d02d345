package import Architecture
import Tensors

extension TrainingEngine {
  /// Bytes an engine for this job takes: weights, gradients, optimizer memory, activations of a batch, and inference of as
  /// many rows as a batch has. Nil when the model is invalid or the count overflows.
  ///
  /// Not counted: copies that callers ask for (`parameters`, `optimizerState`, outputs) and OpenBLAS's packing buffers.
  package static func memoryEstimate(
    model description: ModelDescription, optimizer: OptimizerDescription, batchRows: Int
  ) -> Int? {
    guard batchRows >= 1, let model = try? Model(description) else { return nil }
    let specifications = model.structure.parameters
    let weights = Shape.sum(specifications.map { Shape.elementCount($0.shape) })
    // Weights, their gradients, and the optimizer's tensors of the same shapes.
    let copies = 2 + optimizer.statePrefixes.count
    let total = Shape.sum([
      weights.flatMap { Shape.elementCount([$0, copies]) },
      optimizer.kind == .muon ? MuonScratch<Element>.elementCount(specifications) : 0,
      ActivationBuffers<Element>.elementCount(model, rows: batchRows, forTraining: true),
      GradientBuffers<Element>.elementCount(model, rows: batchRows),
      ActivationBuffers<Element>.elementCount(model, rows: Inference<Element>.blockRows, forTraining: false),
      Shape.elementCount([batchRows, model.inputWidth]),
    ])
    return total.flatMap { Shape.byteCount([$0], Element.elementType) }
  }
}
