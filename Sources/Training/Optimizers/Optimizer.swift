package import Models
import Foundation
import Numerics

/// An update rule with its memory: all that the engine, checkpoints and estimates of memory need to know of it.
protocol Optimizer<Element>: AnyObject {
  associatedtype Element: FloatingElement

  /// Prefixes of the state tensors that each parameter has under these settings.
  static func statePrefixes(_ description: OptimizerDescription) -> [String]
  /// Elements of the memory, beside the state, that updates of `parameters` work in; nil when the count overflows.
  static func scratchElements(_ parameters: [ParameterSpecification]) -> Int?

  init(_ description: OptimizerDescription, _ parameters: [ParameterSpecification])

  /// All of it that outlives a step; zeros before the first.
  var state: [OptimizerStateTensor<Element>] { get }

  /// Updates parameter number `index` (in `ModelStructure.parameters` order) from its gradient, which stays as it is.
  func update(
    _ index: Int, parameter: MatrixBuffer<Element>, gradient: MatrixBuffer<Element>, _ settings: UpdateSettings,
    compute: Compute)
}

extension Optimizer {
  static func scratchElements(_ parameters: [ParameterSpecification]) -> Int? { 0 }
}

/// One tensor of an optimizer's memory, as checkpoints name it: "momentum.layers.0.weight".
struct OptimizerStateTensor<Element: FloatingElement> {
  let name: String
  let shape: [Int]
  let buffer: MatrixBuffer<Element>
}

/// What every parameter's update of one step has in common.
struct UpdateSettings {
  /// The schedule's rate of this step.
  let learningRate: Double
  /// min(1, clip_norm / (‖g‖ + 1e-6)); multiplies every gradient as it is read.
  let clip: Double
  /// t = 0 … N − 1.
  let step: Int
}

extension OptimizerDescription {
  /// - Throws: `TrainingError.invalidSetting` naming the first setting out of its range.
  func validate() throws(TrainingError) {
    guard learningRate.isFinite, learningRate > 0 else { throw .invalidSetting("optimizer.lr must be above 0") }
    guard momentum >= 0, momentum < 1 else { throw .invalidSetting("optimizer.momentum must be in 0 ..< 1") }
    guard weightDecay.isFinite, weightDecay >= 0 else {
      throw .invalidSetting("optimizer.weight_decay must be at least 0")
    }
    if let clipNorm {
      guard clipNorm.isFinite, clipNorm > 0 else { throw .invalidSetting("optimizer.clip_norm must be above 0") }
    }
    guard kind.traits.nesterov == .setting || !nesterov else {
      throw .invalidSetting("optimizer.nesterov is no setting of \(kind.rawValue)")
    }
    guard !nesterov || momentum > 0 else { throw .invalidSetting("optimizer.nesterov needs a momentum above 0") }
  }

  /// The rule of each kind.
  private func rule<Element: FloatingElement>(_: Element.Type) -> any Optimizer<Element>.Type {
    switch kind {
    case .sgd: StochasticGradientDescent<Element>.self
    case .adamw: AdamW<Element>.self
    case .muon: Muon<Element>.self
    }
  }

  func makeOptimizer<Element: FloatingElement>(
    for parameters: [ParameterSpecification], _: Element.Type
  ) -> any Optimizer<Element> {
    rule(Element.self).init(self, parameters)
  }

  /// Prefixes of the state tensors that each parameter has.
  package var statePrefixes: [String] { rule(Float.self).statePrefixes(self) }

  /// Elements of the state of `parameters` and of the memory that updates work in; nil when the count overflows.
  func memoryElements(_ parameters: [ParameterSpecification]) -> Int? {
    Shape.sum([
      Shape.sum(parameters.map { Shape.elementCount($0.shape) }).flatMap {
        Shape.elementCount([$0, statePrefixes.count])
      },
      rule(Float.self).scratchElements(parameters),
    ])
  }

  /// Zeroed state for all parameters: all tensors of the first prefix, then those of the next.
  func makeState<Element: FloatingElement>(
    for parameters: [ParameterSpecification]
  ) -> [OptimizerStateTensor<Element>] {
    statePrefixes.flatMap { prefix in
      parameters.map { parameter in
        OptimizerStateTensor(
          name: "\(prefix).\(parameter.name)", shape: parameter.shape, buffer: parameter.makeBuffer())
      }
    }
  }
}

/// The learning rate of each step: warm-up, then decay.
package struct LearningRateSchedule: Sendable, Equatable {
  private let decay: ScheduleDescription.Decay
  private let peak: Double
  /// Before step 0, where the schedule began with an earlier job.
  private let firstStep: Int
  private let totalSteps: Int
  /// w = ⌈warmup · N⌉.
  package let warmupSteps: Int

  /// `totalSteps` (N, where `description` does not say another) at least 1, `learningRate` the peak; `description.warmup` in 0 … 1.
  package init(_ description: ScheduleDescription, learningRate: Double, totalSteps: Int) {
    decay = description.decay
    peak = learningRate
    firstStep = description.part?.firstStep ?? 0
    let totalSteps = description.part?.totalSteps ?? totalSteps
    self.totalSteps = totalSteps
    let steps = (description.warmup * Double(totalSteps)).rounded(.up)
    warmupSteps = steps.isFinite ? max(0, min(totalSteps, Int(exactly: steps) ?? totalSteps)) : 0
  }

  /// Of step t = 0 … N − 1, counted from the first one that the schedule is of: peak·(t+1)/w for t < w; after it peak, peak·(N−t)/(N−w) or peak·½(1+cos(π(t−w)/(N−w))).
  package func rate(step: Int) -> Double {
    let step = firstStep + step
    if step < warmupSteps { return peak * Double(step + 1) / Double(warmupSteps) }
    let remaining = Double(totalSteps - step)
    let span = Double(totalSteps - warmupSteps)
    switch decay {
    case .none: return peak
    case .linear: return peak * remaining / span
    case .cosine: return peak * 0.5 * (1 + cos(.pi * Double(step - warmupSteps) / span))
    }
  }
}
