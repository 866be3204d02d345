import Architecture
import Exposure
import Tensors

/// What the rows of a view say as they are, where their space has no key: no attack is needed to read them, and none is stronger.
struct PlainReading {
  private let attack: AttackKind
  private let workers: Workers

  /// - Returns: nil for attacks on something else than the rows' values.
  init?(of attack: AttackKind, workers: Workers) {
    switch attack {
    case .knownRows, .spectralAlignment, .sourceSeparation: break
    case .linkage, .baseWeights, .tokenMatching, .labelInference, .matchingGame, .modelMembership: return nil
    }
    self.attack = attack
    self.workers = workers
  }

  /// By the attack's metric.
  ///
  /// - Returns: nil where the rows are masked, and where noise keeps the values from being read to what the metric asks for.
  func measurement(_ view: ProviderView, truth: OwnerTruth) -> Measurement? {
    let (inputs, plain) = (view.inputs, truth.rows)
    guard view.inputGroup == .trivial, inputs.columns >= plain.columns, inputs.rows == plain.rows else { return nil }
    // The constant and the padding follow the features.
    let read = inputs.firstColumns(plain.columns)
    guard attack == .knownRows else { return columnsFound(read, plain) }
    let error = RelativeError(of: read, against: plain)
    guard error.value < KnownRows.threshold else { return nil }
    return Measurement(
      value: 0, interval: nil, chance: nil, rows: read.rows,
      details: [.init("relative error with 0 known", error.value)])
  }

  private func columnsFound(_ read: Tensor<Float>, _ plain: Tensor<Float>) -> Measurement? {
    let best = ColumnCorrelations.best(plain, claimed: read, workers: workers)
    let found = best.count { $0 > SourceSeparation.threshold }
    guard found > 0 else { return nil }
    return Measurement(
      value: Double(found) / Double(best.count), interval: nil, chance: 0, rows: read.rows)
  }

  static let meaning = "Nothing is masked: the provider reads the rows as they are, and needs no attack."
}
