import OwnerRole
import Models
import JobSpec
import Masking
import Training

/// What an audit of a job takes of memory, from its sizes alone: more than intended is refused before the first row is read.
struct AuditMemory {
  /// Bytes.
  private static let most = 4.0 * 1_073_741_824
  /// Copies in double precision of outputs that label inference has at once: outputs and gradients behind a rotation, their directions,
  /// alone and side by side, and what clusters and fits are worked out in; of others the gradients.
  private static let copiesBehindRotation = 11.0

  /// Bytes, in all.
  let estimate: Double
  private let width: Int
  private let weights: Double

  /// - Parameter rows: of a view at most, where a sample is no longer than that.
  init(_ prepared: PreparedJob, rows: Int) {
    let (shape, plan) = (prepared.shape, prepared.plan)
    width = shape.inputWidth
    weights = shape.structure.parameters.reduce(0.0) { $0 + $1.shape.reduce(1.0) { $0 * Double($1) } }
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

  /// - Throws: `OwnerError.tooLarge`.
  func check() throws {
    guard estimate > Self.most else { return }
    let size = estimate / 1_073_741_824
    let amount = size < 1e6 ? "about \(Int(size.rounded(.up)))" : "more than a million"
    throw OwnerError.tooLarge(
      "an audit of this job would take \(amount) GB of memory, and 4 GB is the most: rows are \(width) wide as they are sent, and the "
        + "model has \(Int(weights)) weights; audit a job on fewer columns, shorter samples or smaller micro-batches, or with a smaller model"
    )
  }
}
