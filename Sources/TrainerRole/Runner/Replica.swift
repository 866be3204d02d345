import Files
import Foundations
import Numerics
import Training
import Service

/// One replica of a job's model: an engine, how far it is in its share of a step, and at rank 0 the way to the store. Each
/// call does its work before it returns.
///
/// Every `begin` leads to one summation of gradients at every replica, whatever happens in between: to the step's own, or to one
/// that tells all of them to give it up. So they never wait for each other in vain.
struct Replica<Element: FloatingElement> {
  private struct Step {
    let number: Int
    /// The samples of each part, within this replica's share.
    let parts: [Range<Int>]
    /// Numbers of the parts in the batch, as they come.
    var numbers: [Int] = []
    var forwarded = 0
    var withGradient = 0

    var rows: Int { parts.last?.upperBound ?? 0 }

    /// - Parameter samples: of each part.
    init(number: Int, samples: [Int]) {
      self.number = number
      var parts: [Range<Int>] = []
      parts.reserveCapacity(samples.count)
      for count in samples {
        let first = parts.last?.upperBound ?? 0
        parts.append(first..<first + count)
      }
      self.parts = parts
    }
  }

  private let engine: TrainingEngine<Element>
  private let reduction: CollectiveReduction<Element>?
  private let loss: LossFunction?
  /// Nil where a step's gradient is the loss's alone.
  private let correction: (any GradientCorrection<Element>)?
  /// At rank 0: its way to the store.
  private var context: RunnerContext<Element>?
  private let answer: (ReplicaAnswer<Element>) -> Void
  private var current: Step?

  /// - Parameter reduction: nil for the only replica of a job.
  init(
    engine: TrainingEngine<Element>, reduction: CollectiveReduction<Element>?, loss: LossFunction?,
    correction: (any GradientCorrection<Element>)?, context: RunnerContext<Element>?,
    answer: @escaping (ReplicaAnswer<Element>) -> Void
  ) {
    self.engine = engine
    self.reduction = reduction
    self.loss = loss
    self.correction = correction
    self.context = context
    self.answer = answer
  }

  var isInStep: Bool { current != nil }

  /// Whether another part of the step may go forward before a gradient comes.
  var hasRoom: Bool {
    guard let current else { return false }
    return current.forwarded < current.parts.count && engine.hasRoom
  }

  // MARK: - A step

  /// - Parameter samples: of each of its parts, in their order.
  mutating func begin(_ number: Int, samples: [Int]) throws {
    // After a step that was given up this one is, too.
    guard number == engine.step else { return engine.abandonStep() }
    let step = Step(number: number, samples: samples)
    current = step
    try engine.beginBatch(rows: step.rows)
    if step.parts.isEmpty { try finishStep() }
  }

  mutating func forward(_ part: Int, _ extent: PartExtent, filling: InputFilling<Element>) throws {
    guard let outputs = try outputs(part, extent, filling), let step = current else { return }
    answer(.outputs(step: step.number, part: part, outputs))
  }

  /// Nil when the part belongs to a step that was given up.
  private mutating func outputs(_ part: Int, _ extent: PartExtent, _ filling: InputFilling<Element>) throws -> Tensor<
    Element
  >? {
    guard let step = current else { return nil }
    let rows = step.parts[step.forwarded]
    guard extent.samples == rows.count else {
      throw ServiceError(.defect, "part \(part) has \(extent.samples) samples where \(rows.count) are due")
    }
    let outputs = try engine.forward(rows: rows, sequences: extent.sequences, filling: filling)
    current?.forwarded += 1
    current?.numbers.append(part)
    return outputs
  }

  /// Forward, loss and backward in one.
  mutating func train(
    _ part: Int, _ extent: PartExtent, _ targets: Targets<Element>, normalizer: Double, filling: InputFilling<Element>
  ) throws {
    guard let outputs = try outputs(part, extent, filling), let loss, let step = current else { return }
    let result = try loss.evaluate(outputs: outputs, targets: targets, normalizer: normalizer)
    answer(.trained(step: step.number, part: part, lossSum: result.lossSum))
    try backward(part, result.gradient)
  }

  /// - Parameter gradient: ∂L/∂outputs of the part that went forward first of those without one.
  mutating func backward(_ part: Int, _ gradient: Tensor<Element>) throws {
    guard let step = current else { return }
    guard step.withGradient < step.forwarded, step.numbers[step.withGradient] == part else {
      throw ServiceError(.defect, "the gradient of part \(part) came out of turn")
    }
    try engine.setOutputGradient(gradient, rows: step.parts[step.withGradient])
    current?.withGradient += 1
    if step.withGradient + 1 == step.parts.count { try finishStep() }
  }

  private mutating func finishStep() throws {
    // Whether it succeeds or not, this step's summation is over.
    current = nil
    do {
      let report = try engine.finishStep(correction: correction)
      answer(.applied(report, waited: (reduction?.waited ?? .zero) / .seconds(1)))
    } catch TrainingError.notReduced {
      // Another replica gave the step up or is gone; the loop knows.
    } catch TrainingError.nonFiniteGradient {
      // The same at every replica.
      throw TrainingError.nonFiniteGradient
    } catch {
      engine.abandonStep()
      throw error
    }
  }

  /// Gives up the step under way after an error.
  mutating func giveUp() {
    guard current != nil else { return }
    current = nil
    engine.abandonStep()
  }

  /// Gives up the step under way, and those begun before that are known by number alone.
  ///
  /// - Parameter waiting: how many those are.
  mutating func abandon(waiting: Int = 0) {
    giveUp()
    for _ in 0..<waiting { engine.abandonStep() }
    answer(.abandoned(step: engine.step))
  }

  // MARK: - Between steps

  func infer(_ number: Int, _ extent: PartExtent, filling: InputFilling<Element>) throws {
    answer(
      .inferred(number, try engine.infer(rows: extent.samples, sequences: extent.sequences, filling: filling)))
  }

  mutating func carryOut(_ order: StoreOrder) throws {
    switch order {
    case .save:
      try context?.saveCheckpoint()
      answer(.saved(step: engine.step))
    case .keep(let epoch, let metric): try context?.keepPresentWeights(epoch: epoch, metric: metric)
    case .commit(let step, exactly: true): try context?.removeCheckpoints(before: step)
    case .commit(let step, exactly: false): try context?.commit(through: step)
    }
  }
}
