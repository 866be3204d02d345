import OwnerRole
import Models
import Datasets
import Foundation
import JobSpec
package import Numerics
import Training

/// Trains models like the job's own, in plaintext, to judge what a published model says of the rows it was trained on.
package protocol ShadowTraining: Sendable {
  /// Candidate records: half of them are in the published model's training rows.
  var candidates: Int { get }

  /// Trains on the candidates marked and returns, for every candidate, the logit of the model's confidence in each of its true labels,
  /// ln(p / (1 − p)), `[candidates, labels]`; the larger, the better the model knows it. For regression, minus the squared error. NaN where
  /// a label is missing.
  ///
  /// - Parameter model: numbers the models, so that each is drawn anew.
  /// - Throws: as training does.
  func scores(trainedOn isMember: [Bool], model: Int) throws -> Tensor<Double>
}

/// Shadow models for the membership attack: the job's own training on halves of its rows.
struct MembershipShadows: ShadowTraining {
  /// Rows that may be candidates, so that a model is trained in seconds.
  private static let maxCandidates = 4096
  /// Products of weights and rows a model may take: some ten seconds of a core.
  private static let maxWork = 1e12
  private static let minCandidates = 64

  let candidates: Int
  private let training: PlaintextTraining

  /// The models, or why there are none, as a sentence without its full stop.
  static func of(
    _ prepared: PreparedJob, source: VerificationSource<Float>, compute: Compute
  ) throws -> (shadows: MembershipShadows?, missing: String?) {
    guard case .features(let features) = prepared.source, let labels = prepared.labels else {
      return (nil, "training a transformer many times takes longer than an audit")
    }
    let slots = prepared.plan.order(epoch: 0).prefix(maxCandidates)
    guard slots.count >= minCandidates else {
      return (nil, "the job trains on fewer than \(minCandidates) rows, too few to hold half of them back")
    }
    let weights = prepared.shape.structure.parameters.reduce(0) { $0 + $1.shape.reduce(1, *) }
    // Forward and backward pass: six operations for each weight and row.
    let work = 3.0 * Double(weights) * Double(slots.count) * Double(prepared.job.train.epochs)
    guard work < maxWork else { return (nil, "training this model many times takes longer than an audit") }
    return (try MembershipShadows(prepared, source, slots, features, labels, compute), nil)
  }

  private init(
    _ prepared: PreparedJob, _ source: VerificationSource<Float>, _ slots: ArraySlice<Int32>,
    _ features: any FeatureSource, _ labels: JobLabels, _ compute: Compute
  ) throws {
    candidates = slots.count
    training = try PlaintextTraining(
      prepared, rows: try source.noisedRows(slots, features), questions: try source.readRows(slots, features),
      slots: Array(slots), labels: labels, compute: compute)
  }

  func scores(trainedOn isMember: [Bool], model: Int) throws -> Tensor<Double> {
    let outputs = try training.outputs(
      trainedOn: isMember.indices.filter { isMember[$0] }, secret: OrderSecret(ephemeralWithSeed: model))
    let targets = training.targets
    switch targets {
    case .classes(let ids):
      let logits = ids.enumerated().map { Self.confidence(outputs, row: $0.offset, class: Int($0.element)) }
      return Tensor(logits, shape: [logits.count, 1])
    case .values(let values): return confidences(outputs, in: values, isBinary: training.task == .multilabel)
    case .times: return confidences(outputs, in: targets.events, isBinary: true)
    }
  }

  private func confidences(_ outputs: Tensor<Float>, in values: Tensor<Float>, isBinary: Bool) -> Tensor<Double> {
    Tensor(
      (0..<values.count).map { Self.confidence(Double(outputs[$0]), in: Double(values[$0]), isBinary: isBinary) },
      shape: values.shape)
  }

  /// ln(p / (1 − p)) of the true class's probability: its output less the logarithm of the sum of the others' exponentials.
  private static func confidence(_ outputs: Tensor<Float>, row: Int, class truth: Int) -> Double {
    let width = outputs.columns
    let others = (0..<width).filter { $0 != truth }.map { Double(outputs[row * width + $0]) }
    let largest = others.max() ?? 0
    let sum = others.reduce(0) { $0 + exp($1 - largest) }
    return Double(outputs[row * width + truth]) - largest - log(sum)
  }

  /// The output with the label's sign, which is the logit of its probability, or a risk with the sign of its event; or minus the squared error. NaN where the label is missing.
  private static func confidence(_ output: Double, in target: Double, isBinary: Bool) -> Double {
    guard !target.isNaN else { return .nan }
    return isBinary ? (target > 0.5 ? output : -output) : -(output - target) * (output - target)
  }
}
