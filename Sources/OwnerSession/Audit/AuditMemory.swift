import Architecture
import JobSpec
import Masking

/// What an audit of a job takes of memory, from its sizes alone: more than intended is refused before the first row is read.
struct AuditMemory {
  /// Bytes.
  private static let most = 4.0 * 1_073_741_824

  /// Bytes, in all.
  let estimate: Double
  private let width: Int
  private let weights: Double

  /// - Parameter rows: of a view at most.
  init(_ prepared: PreparedJob, rows: Int) {
    width = prepared.shape.inputWidth
    weights = prepared.shape.structure.parameters.reduce(0.0) { $0 + $1.shape.reduce(1.0) { $0 * Double($1) } }
    let seen = prepared.shape.data.maximumTokens == nil ? min(rows, prepared.plan.totalRows) : rows
    let columns = Double(width)
    // Of w × w: the key of the view and of the control in double precision while one more is worked out from its images of the unit vectors
    // (single and double); attacks then have as many in covariances and their eigenvectors.
    let squares = 40 * columns * columns
    // Of rows: two views and their plaintext in single precision, and three copies in double precision in an attack.
    let views = 40 * Double(seen) * columns
    // Of weights: before and after in both views, and an engine's own with gradients and momenta.
    let models = 32 * weights
    // Of rows and units: the outputs of all layers and their gradients, for all rows that a shadow model is asked about at once.
    let units = prepared.shape.structure.parameters.reduce(0.0) { $0 + ($1.shape.count == 2 ? Double($1.shape[0]) : 0) }
    let asked = prepared.shape.data.maximumTokens == nil ? seen : min(seen, prepared.job.train.microBatch)
    estimate = squares + views + models + 16 * Double(asked) * units
  }

  /// - Throws: `OwnerError.tooLarge`.
  func check() throws {
    guard estimate > Self.most else { return }
    let size = Int((estimate / 1_073_741_824).rounded(.up))
    throw OwnerError.tooLarge(
      "an audit of this job would take about \(size) GB of memory, and 4 GB is the most: rows are \(width) wide as they are sent, and the "
        + "model has \(Int(weights)) weights; audit a job on fewer columns or with a smaller model")
  }
}
