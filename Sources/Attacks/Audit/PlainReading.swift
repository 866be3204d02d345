import Architecture
import Exposure
import Tensors

/// What the rows of a view say as they are, where their space has no key: no attack is needed to read them, and none is stronger.
struct PlainReading {
  private let rows: Tensor<Float>
  private let truth: Tensor<Float>
  private let workers: Workers

  /// - Returns: nil where the rows are masked.
  init?(_ view: ProviderView, truth: OwnerTruth, workers: Workers) {
    let columns = truth.rows.columns
    guard view.inputGroup == .trivial, view.inputs.columns >= columns, view.inputs.rows == truth.rows.rows else {
      return nil
    }
    // The constant and the padding follow the features.
    var read = Tensor<Float>(uninitialized: truth.rows.shape)
    for row in 0..<read.rows {
      for column in 0..<columns { read[row * columns + column] = view.inputs[row * view.inputs.columns + column] }
    }
    rows = read
    self.truth = truth.rows
    self.workers = workers
  }

  /// - Returns: nil for attacks on something else than the rows' values, and where noise keeps the values from being read to what the
  ///   attack's metric asks for.
  func measurement(for attack: AttackKind) -> Measurement? {
    switch attack {
    case .knownRows:
      let error = RelativeError(of: rows, against: truth)
      guard error.value < KnownRows.threshold else { return nil }
      return Measurement(
        value: 0, interval: nil, chance: nil, rows: rows.rows,
        details: [.init("relative error with 0 known", error.value)])
    case .spectralAlignment, .sourceSeparation:
      let best = ColumnCorrelations.best(truth, claimed: rows, workers: workers)
      let found = best.count { $0 > SourceSeparation.threshold }
      guard found > 0 else { return nil }
      return Measurement(
        value: Double(found) / Double(best.count), interval: .wilson(successes: found, trials: best.count), chance: 0,
        rows: rows.rows)
    default: return nil
    }
  }

  static let meaning = "Nothing is masked: the provider reads the rows as they are, and needs no attack."
}
