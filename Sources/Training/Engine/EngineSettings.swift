import Models
import Numerics

/// What an engine works on and how: all that decides its memory.
struct EngineSettings {
  let model: Model
  /// Nil for inference alone.
  let optimizer: OptimizerDescription?
  /// The most samples a batch may have, and a part of one; at least 1.
  let batchRows: Int
  let partRows: Int
  /// Nil where gradients are those of the batch's mean.
  let sampleClipping: SampleClipping?

  /// - Parameter partRows: nil for whole batches. Where a sample is one row, parts share the batch's memory and may be of any size.
  /// - Throws: `TrainingError` for a setting that cannot be used.
  init(
    _ model: Model, optimizer: OptimizerDescription?, batchRows: Int, partRows: Int?,
    sampleClipping: SampleClipping? = nil
  ) throws(TrainingError) {
    guard batchRows >= 1 else { throw .invalidSetting("a batch needs at least 1 row") }
    if let partRows, partRows < 1 { throw .invalidSetting("a part of a batch needs at least 1 row") }
    if let rules = model.rules, rules.maximumTokens < 1 { throw .invalidModel("a sample needs at least 1 token") }
    try optimizer?.validate()
    if sampleClipping != nil {
      if let layer = model.layerWithoutSampleNorms { throw .noSampleNorms(layer: layer) }
      guard optimizer?.clipNorm == nil else {
        throw .invalidSetting("each sample's gradient is clipped already; leave optimizer.clip_norm out")
      }
    }
    self.sampleClipping = sampleClipping
    self.model = model
    self.optimizer = optimizer
    self.batchRows = batchRows
    self.partRows = model.rules == nil ? batchRows : min(batchRows, partRows ?? batchRows)
  }

  /// Nil where a sample is one row.
  var rules: SequenceRules? { model.rules }

  var flow: GradientFlow { GradientFlow(model) }

  /// - Parameter storage: of activations; as they are in single precision where none is given.
  func plan(_ storage: ActivationStorage = ActivationStorage(Compute(threads: 1), Float.self)) -> MemoryPlan {
    MemoryPlan(model, flow: flow, trains: optimizer != nil, keepsOutputGradient: rules == nil, storage)
  }

  /// Parts between forward and backward pass, at most: one is worked on while the other's outputs travel.
  var partsInFlight: Int {
    rules == nil || partRows >= batchRows ? 1 : 2
  }

  /// The most rows of one part; nil when their count overflows.
  var largestPart: RowCounts? {
    guard let rules else { return RowCounts(samples: partRows, tokens: 0) }
    let (tokens, overflow) = partRows.multipliedReportingOverflow(by: rules.maximumTokens)
    return overflow ? nil : RowCounts(samples: partRows, tokens: tokens)
  }

  /// The most rows that the working memory holds.
  var largestPass: RowCounts? {
    let inference = Inference<Float>.largestBlock(rules)
    return optimizer == nil ? inference : largestPart?.covering(inference)
  }

  /// Places of the parameters that are trained in `model.structure.parameters`.
  var trained: [Int] {
    model.structure.parameters.indices.filter { model.structure.parameters[$0].isTrained }
  }
}
