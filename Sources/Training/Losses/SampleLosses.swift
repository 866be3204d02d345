import Models
package import Numerics

extension LossFunction {
  /// The losses of some samples, each sample's own: the mean over what is observed of it (its tokens that count, its entries that are not
  /// missing), 0 where nothing is. What `SampleClipping` clips are the gradients of these.
  ///
  /// - Parameters:
  ///   - outputs: rows × outputs.
  ///   - sequences: how rows are divided into samples where each token has an output; nil where a sample is one row.
  /// - Returns: the sum of the rows' losses as `evaluate` has it, not divided; and each row's gradient of its own sample's loss.
  /// - Throws: as `evaluate`; `TrainingError.targetsShape` for Cox's likelihood, which is no sum over samples.
  package func evaluateEachSample<Element>(
    outputs: Tensor<Element>, targets: Targets<Element>, sequences: SequenceLayout? = nil
  ) throws(TrainingError) -> (lossSum: Double, gradient: Tensor<Element>) {
    guard task != .survival else {
      throw .targetsShape("a sample of a survival has no loss of its own: the likelihood compares samples of a batch")
    }
    if let sequences {
      guard sequences.tokens == targets.rows else {
        throw .targetsShape("\(targets.rows) targets for samples of \(sequences.tokens) tokens together")
      }
    }
    var (sum, gradient) = try evaluate(outputs: outputs, targets: targets, normalizer: 1)
    let samples = sequences.map { SampleRows(tokensOf: $0) } ?? SampleRows(count: targets.rows)
    let factors = (0..<samples.count).map { sample in
      1 / Double(max(1, targets[samples.range(ofSample: sample)].observedCount))
    }
    samples.scale(&gradient, by: factors, Workers(threads: 1))
    return (sum, gradient)
  }
}
