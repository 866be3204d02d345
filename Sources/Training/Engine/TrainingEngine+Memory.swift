package import Architecture
import Tensors

extension TrainingEngine {
  /// Bytes an engine for this job takes at most: weights, gradients and optimizer memory of the trained ones, activations of the
  /// parts in flight, what passes share, rotary tables, and the inputs of an inference of as many rows as a part has. Nil when the model is
  /// invalid or the count overflows.
  ///
  /// Not counted: copies that callers ask for (`parameters`, `optimizerState`, outputs) and OpenBLAS's packing buffers.
  /// - Parameters: as those of `init`.
  package static func memoryEstimate(
    model description: ModelDescription, optimizer: OptimizerDescription?, batchRows: Int, partRows: Int? = nil
  ) -> Int? {
    (try? Model(description)).flatMap {
      memoryEstimate($0, of: description, optimizer: optimizer, batchRows: batchRows, partRows: partRows)
    }
  }

  /// The same of a model that is built already.
  package static func memoryEstimate(
    _ model: Model, of description: ModelDescription, optimizer: OptimizerDescription?, batchRows: Int,
    partRows: Int? = nil
  ) -> Int? {
    let settings = try? EngineSettings(
      model, of: description, optimizer: optimizer, batchRows: batchRows, partRows: partRows)
    return settings.flatMap(memoryEstimate)
  }

  static func memoryEstimate(_ settings: EngineSettings) -> Int? {
    guard let part = settings.largestPart, let pass = settings.largestPass else { return nil }
    let specifications = settings.model.structure.parameters
    let plan = settings.plan
    let total = Shape.sum([
      Shape.sum(specifications.map { Shape.elementCount($0.shape) }),
      trainingElements(settings, settings.trained.map { specifications[$0] }),
      part.elementCount(plan.partShapes).flatMap { Shape.elementCount([$0, settings.partsInFlight]) },
      pass.elementCount(plan.workingShapes),
      Shape.elementCount([settings.rules == nil ? part.samples : part.tokens, settings.model.inputWidth]),
    ])
    return Shape.sum([
      total.flatMap { Shape.byteCount([$0], Element.elementType) }, settings.model.tableBytes,
    ])
  }

  /// Elements of the gradients of `trained` and of the optimizer's memory.
  private static func trainingElements(
    _ settings: EngineSettings, _ trained: [ParameterSpecification]
  ) -> Int? {
    guard let optimizer = settings.optimizer else { return 0 }
    return Shape.sum([
      Shape.sum(trained.map { Shape.elementCount($0.shape) }).flatMap {
        Shape.elementCount([$0, 1 + optimizer.statePrefixes.count])
      },
      optimizer.kind == .muon ? MuonScratch<Element>.elementCount(trained) : 0,
    ])
  }
}
