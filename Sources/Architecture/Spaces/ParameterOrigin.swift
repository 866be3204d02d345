/// Where a parameter's starting values come from.
package enum ParameterOrigin: Sendable, Equatable {
  /// Drawn as PyTorch does for `nn.Linear`: uniform in ±1/√(inputs).
  case linear
  /// The checkpoint that the job names.
  case pretrained
  /// Drawn from a normal distribution with mean 0.
  case normal(deviation: Double)
  case zeros
}
