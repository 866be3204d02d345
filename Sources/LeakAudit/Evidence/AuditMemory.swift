import JobSpec
import Masking
import Models
import OwnerRole
import Training

/// What an audit takes of memory, from sizes alone: more than intended is refused before the first row or weight is read.
struct AuditMemory {
  /// Bytes.
  private static let maxBytes = 4.0 * 1_073_741_824
  /// Copies in double precision of outputs that label inference has at once: outputs and gradients behind a rotation, their directions,
  /// alone and side by side, and what clusters and fits are worked out in; of others the gradients.
  private static let copiesBehindRotation = 11.0

  /// Bytes, in all.
  let estimate: Double
  private let width: Int
  private let weights: Double
  /// "of this job", and what to do where it takes too much.
  private let subject: String
  private let remedy: String

  /// - Parameter rows: of a view at most, where a sample is no longer than that.
  init(_ prepared: PreparedJob, rows: Int) {
    let (shape, plan) = (prepared.shape, prepared.plan)
    width = shape.inputWidth
    weights = Self.weights(shape.structure)
    subject = "this job"
    remedy = "audit a job on fewer columns, shorter samples or smaller micro-batches, or with a smaller model"
    let samples = Double(plan.totalRows)
    // A sample is one row, or as many as it has tokens; one sample is looked at in any case.
    let rowsOfSample = Double(shape.data.maximumTokens ?? 1)
    let seen = min(max(Double(rows), rowsOfSample), samples * rowsOfSample)
    let columns = Double(width)
    // Of w × w: the key of the view and of the control in double precision while one more is worked out from its images of the unit vectors
    // (single and double); attacks then have as many in covariances and their eigenvectors.
    let squares = 40 * columns * columns
    // Of rows: two views and their plaintext in single precision, and three copies in double precision in an attack.
    let views = 40 * seen * columns
    // Of targets: outputs and gradients in both views in single precision, and what label inference makes of one of them.
    let targets = prepared.job.task.isPerToken ? seen : min(seen, samples)
    let isRotated =
      prepared.job.lossLocation == .owner && shape.keyPlan.output.group == .orthogonal && shape.data.outputs > 1
    let copies = isRotated ? Self.copiesBehindRotation : 1
    let outputs = (4 * 4 + copies * 8) * targets * Double(shape.data.outputs)
    // Of weights: before and after in both views, and the checkpoint's where there is one; and an engine, which has its own.
    let models = (shape.pretrained == nil ? 16 : 20) * weights
    let engine =
      TrainingEngine<Float>.memoryEstimate(
        Model(shape.graph), optimizer: prepared.job.optimizer, batchRows: plan.batch,
        partRows: prepared.job.train.microBatch
      ).map { Double($0) } ?? .infinity
    estimate = squares + views + outputs + models + engine
  }

  /// - Parameter rows: of all samples: rows of features, or tokens.
  init(_ model: DeployableModel, rows: Int) {
    self.init(
      DeploymentSizes(
        width: model.keyPlan.input.width, weights: Self.weights(model.structure), rows: rows,
        vocabulary: model.job.task == .causalLanguageModel ? model.data.outputs : 0))
  }

  init(_ sizes: DeploymentSizes) {
    width = sizes.width
    weights = sizes.weights
    subject = "this deployment"
    remedy =
      "give it fewer --rows or shorter texts, or audit a deployment of a model that is smaller or reads fewer columns"
    let columns = Double(sizes.width)
    // Of w × w: two keys in single precision; what they are as matrices, and the identity of the control, in double, while one more is worked
    // out from its images of the unit vectors (single and double); attacks then have three, of relations, covariances and eigenvectors.
    let squares = 56 * columns * columns
    // Of rows: themselves, as questions and as asked in two views, some of them again, and three copies in double precision in an attack.
    let views = 48 * Double(sizes.rows) * columns
    // Of generation: masked logits and plain ones in pieces and joined, and what an attack sums up of them in double precision.
    let logits = 24 * Double(min(GeneratedSessions.maxLogits, GeneratedSessions.maxSteps * sizes.vocabulary))
    // Of weights: as they are, under two keys, in the control and in a host of sessions, and the checkpoint's. Those that are matched between copies
    // besides in double precision, of both copies, once by themselves, once put together and once turned: four times as many units as columns,
    // and those of the last weight.
    let matched = min(sizes.weights, 8 * columns * columns)
    estimate = squares + views + logits + 24 * sizes.weights + 48 * matched
  }

  /// - Throws: `OwnerError.tooLarge`.
  func check() throws(OwnerError) {
    guard estimate > Self.maxBytes else { return }
    let size = estimate / 1_073_741_824
    let amount = size < 1e6 ? "about \(Int(size.rounded(.up)))" : "more than a million"
    throw .tooLarge(
      "an audit of \(subject) would take \(amount) GB of memory, and the limit is 4 GB: rows are \(width) wide as they are sent, and the "
        + "model has \(Int(weights)) weights; \(remedy)")
  }

  private static func weights(_ structure: ModelStructure) -> Double {
    structure.parameters.reduce(0.0) { $0 + $1.shape.reduce(1.0) { $0 * Double($1) } }
  }
}

/// What decides how much memory an audit of a deployment takes.
struct DeploymentSizes {
  /// Of a row as it is sent.
  let width: Int
  let weights: Double
  /// Of all samples: rows of features, or tokens.
  let rows: Int
  /// Entries of the outputs of a model that generates; 0 of others.
  let vocabulary: Int
}
