package import Foundations

/// What the engine refuses. No case carries a value of the data, a weight or a gradient.
package enum TrainingError: Failure, Equatable {
  /// A size of the model description out of its range.
  case invalidModel(String)
  /// An optimizer, schedule or batch setting out of its range.
  case invalidSetting(String)
  /// A trained layer whose gradient's norm of one sample is not known without that gradient.
  case noSampleNorms(layer: String)
  /// More bytes than an integer holds.
  case tooLarge
  case parameterCount(expected: Int, found: Int)
  case parameterShape(name: String, expected: [Int], found: [Int])
  case nonFiniteParameter(name: String)
  /// Saved optimizer state that is not this optimizer's over this model.
  case optimizerState(String)
  case batchRows(rows: Int, capacity: Int)
  case rowsOutsideBatch(rows: Range<Int>, batch: Int)
  /// Samples of several tokens whose lengths or pooled tokens do not fit, or that are missing or not expected.
  case sequences(String)
  /// A part of a batch of sequences larger than the engine was made for.
  case partRows(rows: Int, capacity: Int)
  /// A part of a batch of sequences out of turn; `due` is where the next one begins.
  case partOrder(rows: Range<Int>, due: Int)
  /// A part sent forward while as many as memory is kept for wait for their gradients.
  case partsInFlight(limit: Int)
  /// A gradient for rows that were not sent through the model.
  case gradientBeforeForward(rows: Range<Int>)
  /// A step asked for while rows of the batch lack outputs or gradients.
  case incompleteBatch(missing: Int)
  case gradientShape(expected: [Int], found: [Int])
  case nonFiniteGradient
  case nonFiniteLoss
  case outputsShape(expected: [Int], found: [Int])
  case targetsShape(String)
  case classOutOfRange(row: Int, classes: Int)
  /// A step asked for beyond the schedule's last.
  case finished(totalSteps: Int)
  /// A batch for an engine that was made without an optimizer.
  case inferenceOnly
  /// Generation asked of a model that is not made for it.
  case notGenerative(String)
  /// Tokens for a generation cache that cannot be given to it, or a cache that cannot be used here.
  case generationPart(Int, String)
  /// A generation cache without room for the tokens of one part; no cache was changed.
  case cacheFull(part: Int, tokens: Int, capacity: Int)
  /// The gradients could not be summed over all replicas: one of them gave the step up, or is gone.
  case notReduced

  package var kind: FailureKind {
    switch self {
    case .invalidModel, .invalidSetting, .noSampleNorms: .usage
    case .tooLarge, .cacheFull: .exhausted
    case .notReduced: .unreachable
    case .gradientBeforeForward, .incompleteBatch, .finished, .partOrder, .partsInFlight, .inferenceOnly: .defect
    case .parameterCount, .parameterShape, .nonFiniteParameter, .optimizerState, .batchRows, .rowsOutsideBatch,
      .sequences, .partRows,
      .gradientShape, .nonFiniteGradient, .nonFiniteLoss, .outputsShape, .targetsShape, .classOutOfRange,
      .notGenerative, .generationPart:
      .inputData
    }
  }

  package var description: String {
    switch self {
    case .invalidModel(let what): "the model cannot be built: \(what)"
    case .invalidSetting(let what): "training cannot start: \(what)"
    case .noSampleNorms(let layer):
      "\(layer) is trained, and gradients of single samples can be clipped in linear layers alone; train with lora, or the head alone"
    case .tooLarge: "the model and batch take more memory than can be counted; make the layers or the batch smaller"
    case .parameterCount(let expected, let found): "the model has \(expected) parameter tensors, \(found) were given"
    case .parameterShape(let name, let expected, let found):
      "parameter \(name) must have shape \(expected), not \(found)"
    case .nonFiniteParameter(let name): "parameter \(name) holds NaN or an infinity; start from finite weights"
    case .optimizerState(let what): "the saved optimizer state does not fit: \(what)"
    case .batchRows(let rows, let capacity): "a batch of \(rows) rows; this job takes 1 to \(capacity)"
    case .rowsOutsideBatch(let rows, let batch): "rows \(rows) are not a part of a batch of \(batch) rows"
    case .sequences(let what): "the samples do not fit the model: \(what)"
    case .partRows(let rows, let capacity): "a part of \(rows) rows; this job takes parts of 1 to \(capacity)"
    case .partOrder(let rows, let due): "rows \(rows) came out of turn; the part that is due begins at row \(due)"
    case .partsInFlight(let limit):
      "\(limit) parts of the batch wait for their gradients already; no other can begin before the first of them has its own"
    case .gradientBeforeForward(let rows): "a gradient came for rows \(rows), not all of which have outputs yet"
    case .incompleteBatch(let missing): "the step cannot be taken: \(missing) rows of the batch have no gradient yet"
    case .gradientShape(let expected, let found): "an output gradient must have shape \(expected), not \(found)"
    case .nonFiniteGradient:
      "a gradient holds NaN or an infinity: training has diverged; lower optimizer.lr or set optimizer.clip_norm"
    case .nonFiniteLoss:
      "the loss is NaN or infinite: training has diverged; lower optimizer.lr or set optimizer.clip_norm"
    case .outputsShape(let expected, let found): "outputs must have shape \(expected), not \(found)"
    case .targetsShape(let what): "the targets do not fit: \(what)"
    case .classOutOfRange(let row, let classes): "row \(row) of the batch has a class id outside 0 ..< \(classes)"
    case .finished(let totalSteps): "all \(totalSteps) steps are done"
    case .inferenceOnly: "this engine was made for inference, without an optimizer"
    case .notGenerative(let what): "the model cannot generate token by token: \(what)"
    case .generationPart(let part, let what): "part \(part) of the tokens cannot be added to its session: \(what)"
    case .cacheFull(let part, let tokens, let capacity):
      "part \(part) would bring its session to \(tokens) tokens; it has room for \(capacity)"
    case .notReduced: "the step was not taken: its gradients were not summed over all processes"
    }
  }
}
