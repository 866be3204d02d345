/// What a model is trained to do; decides the loss and the metrics.
package enum LearningTask: String, Sendable, Codable, CaseIterable {
  case classification
  case multilabel
  case regression
  /// A class for each token; tokens with a negative label do not count.
  case tokenClassification = "token-classification"
  /// The next token, at every token but a sample's last.
  case causalLanguageModel = "causal-lm"
  /// A risk for each row, from times to an event of which some were not seen (censored).
  case survival

  /// Whether every token has an output and a target of its own.
  package var isPerToken: Bool { self == .tokenClassification || self == .causalLanguageModel }
  /// Whether targets are class ids, and the loss is softmax cross-entropy.
  package var hasClasses: Bool { self == .classification || isPerToken }
}

/// Which side computes the loss.
package enum LossLocation: String, Sendable, Codable, CaseIterable {
  /// Masked outputs stream back each step; the trainer sees neither labels nor outputs in the clear.
  case owner
  /// Masked labels go with the batches; the trainer updates by itself and the owner may leave.
  case trainer
}

/// In which numbers a model computes.
package enum TrainingPrecision: String, Sendable, Codable, CaseIterable {
  /// 32-bit floats throughout.
  case float32
  /// 32-bit floats whose products are computed from two bfloat16 parts of each, which hold 16 bits of it. Where the processor has no
  /// instructions that make this faster it is `float32`.
  case bfloat16x3
  /// Products of operands rounded to bfloat16, summed in 32-bit floats; values between layers and their gradients are bfloat16 numbers.
  /// Weights, their gradients, the optimizer's memory, norms, softmax and losses stay 32-bit floats.
  case bfloat16

  /// Whether a model's inputs, its outputs and their gradients are bfloat16 numbers.
  package var narrowsValues: Bool { self == .bfloat16 }
}

/// An optimizer and its settings; formulas in `Training`.
package struct OptimizerDescription: Sendable, Equatable, Codable {
  package enum Kind: String, Sendable, Codable, CaseIterable {
    case sgd
    case muon
    case adamw

    /// What jobs and keys must know of the rule; what it computes is in `Training`.
    package var traits: OptimizerTraits {
      switch self {
      // Momentum and decay are linear.
      case .sgd:
        OptimizerTraits(largestGroup: .orthogonal, momentum: 0.9, nesterov: .setting, weightDecay: .coupled)
      // Its polynomial is odd in the singular values.
      case .muon:
        OptimizerTraits(largestGroup: .orthogonal, momentum: 0.95, nesterov: .always, weightDecay: .decoupled)
      // Divides coordinate by coordinate, which a sign flip passes and a rotation does not.
      case .adamw:
        OptimizerTraits(largestGroup: .signedPermutation, momentum: nil, nesterov: .never, weightDecay: .decoupled)
      }
    }
  }

  package let kind: Kind
  /// Peak learning rate, above 0.
  package let learningRate: Double
  /// 0 ≤ μ < 1; unused where the rule has no such setting.
  package let momentum: Double
  /// Only where it is a setting.
  package let nesterov: Bool
  /// At least 0.
  package let weightDecay: Double
  /// Largest global gradient norm, above 0; nil leaves gradients as they are.
  package let clipNorm: Double?

  package init(
    kind: Kind, learningRate: Double, momentum: Double, nesterov: Bool, weightDecay: Double, clipNorm: Double?
  ) {
    self.kind = kind
    self.learningRate = learningRate
    self.momentum = momentum
    self.nesterov = nesterov
    self.weightDecay = weightDecay
    self.clipNorm = clipNorm
  }

  package var largestGroup: SymmetryGroup { kind.traits.largestGroup }
}

/// What jobs and keys must know of an update rule.
package struct OptimizerTraits: Sendable {
  package enum NesterovForm: Sendable {
    /// `optimizer.nesterov` chooses.
    case setting
    case always
    case never
  }

  package enum WeightDecay: String, Sendable {
    /// Added to the gradient.
    case coupled
    /// Taken off the weights by itself.
    case decoupled
  }

  /// The largest group whose keys the rule commutes with.
  package let largestGroup: SymmetryGroup
  /// `optimizer.momentum` of a job that does not give it; nil where the rule has no such setting.
  package let momentum: Double?
  package let nesterov: NesterovForm
  package let weightDecay: WeightDecay
}

/// How the learning rate changes over a run.
package struct ScheduleDescription: Sendable, Equatable, Codable {
  package enum Decay: String, Sendable, Codable, CaseIterable {
    case none
    case linear
    case cosine
  }

  /// Share of all steps spent warming up, 0 … 1.
  package let warmup: Double
  package let decay: Decay
  /// Nil where the schedule runs over the job's own steps.
  package let part: SchedulePart?

  package init(warmup: Double, decay: Decay, part: SchedulePart? = nil) {
    self.warmup = warmup
    self.decay = decay
    self.part = part
  }

  /// The same schedule over the steps of several jobs, of which this is one.
  package func continued(_ part: SchedulePart?) -> ScheduleDescription {
    ScheduleDescription(warmup: warmup, decay: decay, part: part)
  }

  /// Whether the rate is the same at every step.
  package var isConstant: Bool { warmup == 0 && decay == .none }
}

/// Which steps of a longer training a job makes: a round of a federation.
package struct SchedulePart: Sendable, Equatable, Codable {
  /// Steps before the job's first, at least 0.
  package let firstStep: Int
  /// Of the whole training, at least `firstStep` and the job's own together.
  package let totalSteps: Int

  package init(firstStep: Int, totalSteps: Int) {
    self.firstStep = firstStep
    self.totalSteps = totalSteps
  }
}

/// Which weights a run returns.
package enum KeepPolicy: String, Sendable, Codable, CaseIterable {
  /// After the epoch with the best validation metric, the first on ties.
  case best
  case last
}

/// Items dealt out to bins so that all bins get about as much: the longest first, each to the bin that has the least so far (Graham, SIAM J.
/// Appl. Math. 17, 1969). A function of sizes alone, so that what depends on it can be repeated.
package struct BalancedAssignment: Sendable {
  /// The bin of each item.
  package let bins: [Int]

  /// - Parameters:
  ///   - costs: of each item, at least 0.
  ///   - room: how many items each bin may have, one bin at least; together for all of them.
  package init(costs: [Int], room: [Int]) {
    var bins = [Int](repeating: 0, count: costs.count)
    var (loads, room) = ([Int](repeating: 0, count: room.count), room)
    let longestFirst = costs.indices.sorted { (costs[$1], $0) < (costs[$0], $1) }
    for item in longestFirst {
      var least: Int?
      for bin in loads.indices where room[bin] > 0 && least.map({ loads[bin] < loads[$0] }) ?? true { least = bin }
      guard let least else { break }
      bins[item] = least
      loads[least] += costs[item]
      room[least] -= 1
    }
    self.bins = bins
  }
}

/// Bounds of a training that all parties know.
package enum TrainingLimits {
  /// Most passes over the training rows, of a job or of a site in all rounds.
  package static let passes = 1_000_000
}
