import Architecture

extension JobSpecification {
  /// A setting that the chosen update rule would ignore is refused: the job would not do what it says.
  func resolvedOptimizer() throws(JobSpecError) -> OptimizerDescription {
    let kind = try value(JobFields.optimizer)
    let nesterov = try value(JobFields.nesterov)
    let momentum: Double
    switch kind {
    case .sgd:
      momentum = self[JobFields.momentum] ?? 0.9
      if nesterov, momentum == 0 {
        throw contradiction(
          JobFields.nesterov.path, "`optimizer.nesterov` needs `optimizer.momentum` above 0")
      }
    case .muon:
      momentum = self[JobFields.momentum] ?? 0.95
      try refuse(JobFields.nesterov.path, "muon always takes the Nesterov form; delete `optimizer.nesterov`")
    case .adamw:
      momentum = 0
      try refuse(JobFields.momentum.path, "adamw has no momentum setting; delete `optimizer.momentum`")
      try refuse(JobFields.nesterov.path, "adamw has no Nesterov form; delete `optimizer.nesterov`")
    }
    return OptimizerDescription(
      kind: kind, learningRate: try required(JobFields.learningRate), momentum: momentum, nesterov: nesterov,
      weightDecay: try value(JobFields.weightDecay), clipNorm: try value(JobFields.clipNorm))
  }
}
