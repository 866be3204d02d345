import Models

extension JobSpecification {
  /// A setting that the chosen strategy would ignore is refused: the federation would not do what the charter says.
  ///
  /// Defaults: Reddi et al. (2021), section 5 (β₁ 0.9 of the momentum, no β of the Adagrad rule, β₁ 0.9 and β₂ 0.99 of the others, τ 10⁻³);
  /// the server's step, which they search for, and μ of Li et al. (2020) are the least of what was found to work.
  func resolvedStrategy(_ optimizer: OptimizerDescription) throws(JobSpecError) -> StrategyDescription {
    let kind = try value(StrategyFields.name)
    let hasMomentum = kind == .fedavgm || kind == .fedadagrad
    let hasBetas = kind == .fedadam || kind == .fedyogi
    if !hasMomentum {
      let instead = hasBetas ? "its β₁ is the first of `betas`" : "\(kind.rawValue) has no momentum"
      try refuse(StrategyFields.momentum.path, "`\(StrategyFields.momentum.path)`: \(instead); delete it")
    }
    if !hasBetas {
      let instead = hasMomentum ? "β₁ of \(kind.rawValue) is `momentum`" : "\(kind.rawValue) has no moments"
      try refuse(StrategyFields.betas.path, "`\(StrategyFields.betas.path)`: \(instead); delete it")
    }
    if !kind.isAdaptive {
      try refuse(
        StrategyFields.tau.path, "`\(StrategyFields.tau.path)`: \(kind.rawValue) has no second moment; delete it")
    }
    if kind != .fedprox {
      try refuse(
        StrategyFields.mu.path, "`\(StrategyFields.mu.path)` is for `fedprox`, not for \(kind.rawValue); delete it")
    }
    if kind == .scaffold { try checkScaffold(optimizer) }
    let betas = hasBetas ? self[StrategyFields.betas] ?? [0.9, 0.99] : []
    return StrategyDescription(
      kind: kind,
      serverLearningRate: self[StrategyFields.serverLearningRate] ?? (kind.isAdaptive ? 0.1 : 1),
      beta1: betas.first ?? (hasMomentum ? self[StrategyFields.momentum] ?? (kind == .fedavgm ? 0.9 : 0) : 0),
      beta2: betas.last ?? 0,
      tau: kind.isAdaptive ? self[StrategyFields.tau] ?? 1e-3 : 0,
      mu: kind == .fedprox ? self[StrategyFields.mu] ?? 0.01 : 0)
  }

  /// A site's control variate is worked out from how far it went, which only plain steps tell (Karimireddy et al., 2020, option II).
  private func checkScaffold(_ optimizer: OptimizerDescription) throws(JobSpecError) {
    guard optimizer.kind == .sgd else {
      throw contradiction(
        JobFields.optimizer.path,
        "`scaffold` needs plain sgd at the sites; `optimizer.name` is \(optimizer.kind.rawValue)")
    }
    guard optimizer.momentum == 0 else {
      throw contradiction(
        JobFields.momentum.path,
        "`scaffold` needs plain sgd at the sites; set `optimizer.momentum: 0` (it is \(NumberText.shortest(optimizer.momentum)))"
      )
    }
    guard optimizer.weightDecay == 0, optimizer.clipNorm == nil else {
      let path = optimizer.clipNorm == nil ? JobFields.weightDecay.path : JobFields.clipNorm.path
      throw contradiction(path, "`scaffold` needs plain sgd at the sites; delete `\(path)`")
    }
    for path in [JobFields.warmup.path, JobFields.decay.path] {
      try refuse(path, "`scaffold` needs one learning rate for all steps; delete `\(path)`")
    }
  }
}
