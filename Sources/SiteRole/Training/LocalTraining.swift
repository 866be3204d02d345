import Datasets
import Foundation
import JobSpec
import Masking
import Models
package import Numerics
package import OwnerRole
import Protocol
package import Training

/// Local steps under privacy of records (Abadi et al., 2016, algorithm 1), but for their noise, which is drawn anew for each round.
package struct PrivateSteps: Sendable {
  package let sampling: PoissonSampling
  package let clipping: SampleClipping
  /// σ, in units of the clip norm.
  package let noiseMultiplier: Double
}

/// A site's own work: local updates of a model that it is given, and the model's score on the site's validation rows. Nothing is masked here;
/// the rows are the site's own.
///
/// Local batches go through the site's rows pass after pass, each pass in an order of its own. Round r takes the steps r·n ..< (r+1)·n of that
/// one sequence, whether or not the site took part in the rounds before, so that every round can be repeated. With `PrivateSteps` every step draws
/// its rows instead, and each row's gradient is clipped and the sum noised.
package final class LocalTraining<Element: FloatingElement> {
  package let prepared: PreparedJob
  /// Optimizer steps a round.
  package let stepsPerRound: Int
  private let engine: TrainingEngine<Element>
  private let privateSteps: PrivateSteps?
  private let workers: Workers
  private var samples: any MaskedSamples<Element>
  private let loss: LossFunction
  private let score: LossFunction
  /// Places of the trained parameters among all.
  private let trained: [Int]
  /// The frozen ones are the checkpoint's own.
  private var parameters: [Tensor<Element>]
  private var order: (pass: Int, slots: [Int32]) = (-1, [])

  /// - Parameters:
  ///   - prepared: a job without masking, whose plan has as many passes as all rounds together need.
  ///   - samples: of the plan, not masked.
  ///   - initial: all parameters of the model in its order, as the engine holds them.
  ///   - rounds: of the federation; the learning rate's schedule runs over the steps of all of them.
  ///   - classWeights: what a training row of each class counts; nil where all count 1. Validation rows always count 1.
  ///   - privateSteps: how rows are drawn and clipped under privacy of records; nil without.
  /// - Throws: `TrainingError` for a model or setting that cannot be trained.
  package init(
    prepared: PreparedJob, samples: any MaskedSamples<Element>, initial: [Tensor<Element>], stepsPerRound: Int,
    rounds: Int, classWeights: [Double]? = nil, privateSteps: PrivateSteps? = nil, compute: Compute
  ) throws {
    self.prepared = prepared
    self.samples = samples
    self.stepsPerRound = stepsPerRound
    self.privateSteps = privateSteps
    workers = compute.workers
    parameters = initial
    loss = LossFunction(task: prepared.job.task, classWeights: classWeights)
    score = LossFunction(task: prepared.job.task)
    trained = prepared.shape.structure.parameters.indices.filter { prepared.shape.structure.parameters[$0].isTrained }
    engine = try TrainingEngine(
      model: prepared.shape.graph, optimizer: prepared.job.optimizer, schedule: prepared.job.schedule,
      totalSteps: max(1, rounds * stepsPerRound), batchRows: privateSteps?.sampling.capacity ?? prepared.plan.batch,
      partRows: prepared.job.train.microBatch, sampleClipping: privateSteps?.clipping,
      compute: compute.computing(in: prepared.job.train.precision),
      parameters: initial)
  }

  /// What one round of local work has done.
  package struct Outcome {
    /// The trained parameters after it, in their order.
    package let weights: [Tensor<Element>]
    package let steps: Int
    /// Over all steps: the sum of the losses, and what it is the sum of (rows, tokens or entries).
    package let lossSum: Double
    package let observed: Int
    /// The sum of the steps' learning rates.
    package let rateSum: Double
  }

  /// Makes the local updates of a round, with an optimizer that remembers nothing of the rounds before.
  ///
  /// - Parameters:
  ///   - weights: the trained parameters to start from, in their order.
  ///   - correction: what is added to the loss's gradients at every step; nil for nothing.
  ///   - noise: of this round's steps, with `PrivateSteps` alone; without it they have none, and what comes of them must stay here.
  ///   - progress: steps done and steps in all; what it throws ends the round.
  /// - Throws: `OwnerError.diverged`, `TrainingError`, and what reading throws.
  package func train(
    round: Int, from weights: [Tensor<Element>], adding correction: (any GradientCorrection<Element>)? = nil,
    noise: NoiseSource? = nil, progress: (Int, Int) throws -> Void = { _, _ in }
  ) throws -> Outcome {
    try load(weights)
    let correction = combined(correction, noise)
    engine.step = round * stepsPerRound
    engine.optimizerBegan = engine.step
    try engine.loadOptimizerState { _, elements in elements.update(repeating: 0) }
    samples.beginConversation(residentRows: 0)
    var (lossSum, observed, rateSum) = (0.0, 0, 0.0)
    for step in 0..<stepsPerRound {
      let result = try self.step(round * stepsPerRound + step, correction)
      lossSum += result.lossSum
      observed += result.observed
      rateSum += result.rate
      try progress(step + 1, stepsPerRound)
    }
    let after = engine.parameters
    return Outcome(
      weights: trained.map { after[$0] }, steps: stepsPerRound, lossSum: lossSum, observed: observed,
      rateSum: rateSum)
  }

  private func combined(
    _ correction: (any GradientCorrection<Element>)?, _ noise: NoiseSource?
  ) -> (any GradientCorrection<Element>)? {
    guard let privateSteps, let noise else { return correction }
    let gaussian = GaussianNoise<Element>(
      noise, noiseMultiplier: privateSteps.noiseMultiplier, clipping: privateSteps.clipping, workers: workers)
    return correction.map { CombinedCorrection([$0, gaussian]) } ?? gaussian
  }

  /// The rows of the file that local step `number` trains on, of all rounds from 0; under privacy perhaps none.
  package func rows(ofStep number: Int) throws -> [Int32] {
    try slots(ofStep: number).map { prepared.plan.rowOfSlot[Int($0)] }
  }

  private func slots(ofStep number: Int) throws -> ArraySlice<Int32> {
    // Slots of training rows are the first ones.
    if let privateSteps { return try privateSteps.sampling.batch(step: number)[...] }
    let pass = number / prepared.plan.stepsPerEpoch
    if order.pass != pass { order = (pass, prepared.plan.order(epoch: pass)) }
    return order.slots[prepared.plan.range(ofBatch: number % prepared.plan.stepsPerEpoch)]
  }

  /// - Throws: `OwnerError.diverged` for outputs, losses and gradients that are not finite.
  private func step(
    _ number: Int, _ correction: (any GradientCorrection<Element>)?
  ) throws -> (lossSum: Double, observed: Int, rate: Double) {
    try diverging(at: number) { try finiteStep(number, correction) }
  }

  /// Loss and gradients that are not finite are training that diverged, as outputs are.
  private func diverging<Result>(at step: Int, _ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let error as TrainingError where error == .nonFiniteLoss || error == .nonFiniteGradient {
      throw OwnerError.diverged(step: step)
    }
  }

  private func finiteStep(
    _ number: Int, _ correction: (any GradientCorrection<Element>)?
  ) throws -> (lossSum: Double, observed: Int, rate: Double) {
    var slots = try slots(ofStep: number)
    while true {
      let observed = slots.isEmpty ? 0 : try samples.observedCount(of: slots)
      let (sum, unfit) = try setGradients(of: slots, step: number, observed: observed)
      if unfit.isEmpty { return (sum, observed, try engine.finishStep(correction: correction).learningRate) }
      guard privateSteps != nil else { throw OwnerError.diverged(step: number) }
      // A record without a finite gradient has none: to end the run for it would tell everybody that it is there.
      slots = slots.indices.filter { !unfit.contains($0 - slots.startIndex) }.map { slots[$0] }[...]
    }
  }

  /// Forward and output gradients of a batch.
  ///
  /// - Returns: the sum of its losses; the samples, by their places in the batch, whose outputs or gradients are not finite: those of the first
  ///   part that has any, and then the batch is not complete.
  private func setGradients(
    of slots: ArraySlice<Int32>, step number: Int, observed: Int
  ) throws -> (lossSum: Double, unfit: Set<Int>) {
    let pass = privateSteps == nil ? number / prepared.plan.stepsPerEpoch : 0
    var sum = 0.0
    try engine.beginBatch(rows: slots.count)
    for first in stride(from: 0, to: slots.count, by: prepared.job.train.microBatch) {
      let rows = first..<min(slots.count, first + prepared.job.train.microBatch)
      let part = slots[slots.startIndex + rows.lowerBound..<slots.startIndex + rows.upperBound]
      let delivery = try samples.delivery(of: part, pass: pass)
      let outputs = try engine.forward(rows: rows, sequences: delivery.layout) { delivery.fill($0) }
      let targets = try samples.targets(of: part, pass: pass)
      let sequences = targets.rows == rows.count ? nil : delivery.layout
      func unfit(_ isFit: (Range<Int>) -> Bool) -> Set<Int> {
        Set(rows.filter { !isFit(sequences?.range(ofSample: $0 - first) ?? $0 - first..<$0 - first + 1) })
      }
      guard outputs.allFinite else { return (0, unfit { outputs.slice(rows: $0).allFinite }) }
      guard privateSteps != nil else {
        let result = try loss.evaluate(
          outputs: outputs, targets: targets, normalizer: Double(max(1, observed)))
        sum += result.lossSum
        try engine.setOutputGradient(result.gradient, rows: rows)
        continue
      }
      guard let result = try ownLosses(outputs, targets, sequences) else {
        let found = unfit { hasFiniteLoss(outputs.slice(rows: $0), targets[$0]) }
        // Losses that are finite one by one.
        return (0, found.isEmpty ? Set(rows) : found)
      }
      guard result.gradient.allFinite else { return (0, unfit { result.gradient.slice(rows: $0).allFinite }) }
      sum += result.lossSum
      try engine.setOutputGradient(result.gradient, rows: rows)
    }
    return (sum, [])
  }

  /// The losses of samples, each its own, and their output gradients; nil where a loss is not finite.
  private func ownLosses(
    _ outputs: Tensor<Element>, _ targets: Targets<Element>, _ sequences: SequenceLayout?
  ) throws -> (lossSum: Double, gradient: Tensor<Element>)? {
    do {
      return try loss.evaluateEachSample(outputs: outputs, targets: targets, sequences: sequences)
    } catch {
      guard error == .nonFiniteLoss else { throw error }
      return nil
    }
  }

  private func hasFiniteLoss(_ outputs: Tensor<Element>, _ targets: Targets<Element>) -> Bool {
    (try? loss.evaluate(outputs: outputs, targets: targets, normalizer: 1)) != nil
  }

  /// How a model does on the site's validation rows.
  package struct Score: Sendable {
    package let rows: Int
    package let lossSum: Double
    package let observed: Int
    package let metrics: Metrics
  }

  /// - Parameters:
  ///   - weights: the trained parameters in their order.
  ///   - progress: called after every part; what it throws ends the evaluation.
  /// - Returns: nil when the split leaves no validation rows.
  /// - Throws: `OwnerError.diverged`, `TrainingError`, and what reading throws.
  package func evaluate(_ weights: [Tensor<Element>], progress: () throws -> Void = {}) throws -> Score? {
    let all = prepared.plan.validationSlots
    guard !all.isEmpty else { return nil }
    try load(weights)
    samples.beginConversation(residentRows: 0)
    var metrics = MetricAccumulator(task: prepared.job.task)
    var (sum, observed) = (0.0, 0)
    let size = prepared.description.evaluationRows
    for first in stride(from: all.lowerBound, to: all.upperBound, by: size) {
      let slots = (first..<min(all.upperBound, first + size)).map { Int32($0) }[...]
      let delivery = try samples.delivery(of: slots, pass: 0)
      let outputs = try engine.infer(rows: slots.count, sequences: delivery.layout) { delivery.fill($0) }
      guard outputs.allFinite else { throw OwnerError.diverged(step: engine.step) }
      let targets = try samples.targets(of: slots, pass: 0)
      sum += try diverging(at: engine.step) {
        try score.evaluate(outputs: outputs, targets: targets, normalizer: 1).lossSum
      }
      observed += targets.observedCount
      try metrics.add(outputs: outputs, targets: targets)
      try progress()
    }
    return Score(rows: all.count, lossSum: sum, observed: observed, metrics: metrics.result())
  }

  private func load(_ weights: [Tensor<Element>]) throws {
    for (place, tensor) in zip(trained, weights) { parameters[place] = tensor }
    try engine.setParameters(parameters)
  }
}

extension RowDelivery {
  /// Nil where a sample is one row.
  fileprivate var layout: SequenceLayout? {
    hasSequences ? SequenceLayout(lengths: lengths.elements, pooled: pooled.elements) : nil
  }

  fileprivate func fill(_ destination: UnsafeMutableBufferPointer<Element>) {
    values.withUnsafeBufferPointer { _ = destination.update(fromContentsOf: $0) }
  }
}
