import Models
import Testing

/// A combination that claims exactness.
struct ExactnessCase: Sendable, CustomTestStringConvertible {
  let name: String
  let job: SmallJob

  init(_ name: String, _ change: (inout SmallJob) -> Void = { _ in }) {
    self.name = name
    job = SmallJob().changing(change)
  }

  var testDescription: String { name }

  static let exact: [ExactnessCase] = [
    // Optimizers under rotation.
    ExactnessCase("sgd with momentum, rotation, relu, warm-up and linear decay"),
    ExactnessCase("sgd without momentum, gelu, constant rate") {
      $0.optimizer = SmallJob.sgd(momentum: 0)
      $0.activation = .gelu
      $0.schedule = .init(warmup: 0, decay: .none)
    },
    ExactnessCase("sgd with Nesterov momentum, weight decay and clipping, silu, cosine decay") {
      $0.optimizer = SmallJob.sgd(nesterov: true, decay: 0.01, clip: 0.5)
      $0.activation = .silu
      $0.schedule = .init(warmup: 0.2, decay: .cosine)
    },
    ExactnessCase("muon, rotation, tanh") {
      $0.optimizer = SmallJob.muon()
      $0.activation = .tanh
    },
    ExactnessCase("muon with clipping, rotation, multilabel at the trainer") {
      $0.optimizer = SmallJob.muon(clip: 0.5)
      $0.task = .multilabel
      $0.loss = .trainer
    },
    // Permutations.
    ExactnessCase("adamw, permutation, relu") {
      $0.optimizer = SmallJob.adamw()
      $0.strength = .permutation
    },
    ExactnessCase("adamw, permutation, gelu, loss at the trainer") {
      $0.optimizer = SmallJob.adamw()
      $0.strength = .permutation
      $0.activation = .gelu
      $0.loss = .trainer
    },
    ExactnessCase("adamw, nothing masked") {
      $0.optimizer = SmallJob.adamw()
      $0.strength = .none
      $0.padding = 0
    },
    // Other strengths.
    ExactnessCase("input-only, muon") {
      $0.strength = .inputOnly
      $0.optimizer = SmallJob.muon()
    },
    ExactnessCase("nothing masked") { $0.strength = .none },
    ExactnessCase("permutation, sgd") { $0.strength = .permutation },
    // Tasks, both places of the loss.
    ExactnessCase("classification, loss at the trainer") { $0.loss = .trainer },
    ExactnessCase("multilabel with missing labels, loss at the owner") { $0.task = .multilabel },
    ExactnessCase("multilabel with missing labels, loss at the trainer") {
      $0.task = .multilabel
      $0.loss = .trainer
      $0.activation = .silu
    },
    ExactnessCase("regression, loss at the owner") {
      $0.task = .regression
      $0.optimizer = SmallJob.sgd(rate: 0.02, clip: 1)
    },
    ExactnessCase("regression under a rotation of the targets, loss at the trainer") {
      $0.task = .regression
      $0.loss = .trainer
      $0.optimizer = SmallJob.sgd(rate: 0.02, clip: 1)
    },
    ExactnessCase("regression with missing targets, loss at the owner") {
      $0.task = .regression
      $0.hasGaps = true
      $0.optimizer = SmallJob.sgd(rate: 0.02, clip: 1)
    },
    ExactnessCase("regression with missing targets, loss at the trainer") {
      $0.task = .regression
      $0.hasGaps = true
      $0.loss = .trainer
      $0.optimizer = SmallJob.sgd(rate: 0.02, clip: 1)
    },
    ExactnessCase("survival, the best epoch by concordance") {
      $0.task = .survival
      $0.microBatch = 8
      $0.keep = .best
    },
    ExactnessCase("survival, permutation") {
      $0.task = .survival
      $0.microBatch = 8
      $0.strength = .permutation
    },
    // Sizes.
    ExactnessCase("no padding") { $0.padding = 0 },
    ExactnessCase("padding 5, tanh") {
      $0.padding = 5
      $0.activation = .tanh
    },
    ExactnessCase("padding 5, muon") {
      $0.padding = 5
      $0.optimizer = SmallJob.muon()
    },
    ExactnessCase("a micro-batch a batch") { $0.microBatch = 8 },
    ExactnessCase("micro-batches of one row") { $0.microBatch = 1 },
    ExactnessCase("a linear model") { $0.hidden = [] },
    ExactnessCase("no validation rows") {
      $0.validation = 0
      $0.batch = 9
      $0.microBatch = 4
    },
    // Adapters: the layer that reads the input is another, and has no activation behind it.
    ExactnessCase("an adapter, sgd, relu") { ($0.adapter, $0.padding) = (4, 0) },
    ExactnessCase("an adapter wider than the input, sgd with decay and clipping, standardised") {
      ($0.adapter, $0.padding, $0.standardize) = (9, 0, true)
      $0.optimizer = SmallJob.sgd(nesterov: true, decay: 0.01, clip: 0.5)
      $0.activation = .silu
    },
    ExactnessCase("an adapter, muon, tanh") {
      ($0.adapter, $0.padding, $0.activation) = (8, 0, .tanh)
      $0.optimizer = SmallJob.muon()
    },
    ExactnessCase("an adapter, adamw, permutation, loss at the trainer") {
      ($0.adapter, $0.padding, $0.strength, $0.loss) = (5, 0, .permutation, .trainer)
      $0.optimizer = SmallJob.adamw()
    },
    ExactnessCase("an adapter of a linear model, multilabel at the trainer") {
      ($0.adapter, $0.padding, $0.hidden) = (5, 0, [])
      ($0.task, $0.loss) = (.multilabel, .trainer)
    },
    ExactnessCase("an adapter, input-only") { ($0.adapter, $0.padding, $0.strength) = (5, 0, .inputOnly) },
    ExactnessCase("an adapter, nothing masked, the best epoch") {
      ($0.adapter, $0.padding, $0.strength, $0.keep) = (5, 0, .none, .best)
      $0.optimizer = SmallJob.sgd(rate: 0.2, clip: 1)
    },
    // Noise: plaintext training on the noised rows.
    ExactnessCase("noise, loss at the owner") { $0.noise = 0.3 },
    ExactnessCase("noise, standardised, loss at the trainer, the best epoch") {
      ($0.noise, $0.standardize, $0.loss, $0.keep) = (0.3, true, .trainer, .best)
      $0.optimizer = SmallJob.sgd(rate: 0.2, clip: 1)
    },
    ExactnessCase("noise with nothing masked") { ($0.noise, $0.strength) = (0.3, .none) },
    ExactnessCase("noise and an adapter, muon") {
      ($0.noise, $0.adapter, $0.padding) = (0.3, 7, 0)
      $0.optimizer = SmallJob.muon()
    },
    // Preparation and result.
    ExactnessCase("standardised") { $0.standardize = true },
    ExactnessCase("standardised, loss at the trainer") {
      $0.standardize = true
      $0.loss = .trainer
    },
    // Clipped: a run that diverges for a while multiplies rounding by more than the bound allows for.
    ExactnessCase("the best epoch, loss at the owner") {
      $0.keep = .best
      $0.optimizer = SmallJob.sgd(rate: 0.2, clip: 1)
    },
    ExactnessCase("the best epoch, loss at the trainer") {
      $0.keep = .best
      $0.loss = .trainer
      $0.optimizer = SmallJob.sgd(rate: 0.2, clip: 1)
    },
    ExactnessCase("the best epoch of a regression") {
      $0.keep = .best
      $0.task = .regression
      $0.optimizer = SmallJob.sgd(rate: 0.05, clip: 1)
    },
  ]
}
