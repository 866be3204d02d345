package import Architecture
import Tensors

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
    guard kind == .sgd || !nesterov else { throw .invalidSetting("optimizer.nesterov is for sgd only") }
    guard !nesterov || momentum > 0 else { throw .invalidSetting("optimizer.nesterov needs a momentum above 0") }
  }

  func makeOptimizer<Element: FloatingElement>(
    for parameters: [ParameterSpecification], _: Element.Type
  ) -> any Optimizer<Element> {
    switch kind {
    case .sgd: StochasticGradientDescent<Element>(self, parameters)
    case .adamw: AdamW<Element>(self, parameters)
    case .muon: Muon<Element>(self, parameters)
    }
  }

  /// Prefixes of the state tensors that each parameter has.
  package var statePrefixes: [String] {
    switch kind {
    case .sgd: momentum > 0 ? ["momentum"] : []
    case .adamw: ["moment1", "moment2"]
    case .muon: ["momentum"]
    }
  }

  /// Zeroed state for all parameters: all tensors of the first prefix, then those of the next.
  func makeState<Element: FloatingElement>(
    for parameters: [ParameterSpecification]
  ) -> [OptimizerStateTensor<Element>] {
    statePrefixes.flatMap { prefix in
      parameters.map { parameter in
        let (rows, columns) = parameter.bufferShape
        return OptimizerStateTensor(
          name: "\(prefix).\(parameter.name)", shape: parameter.shape,
          buffer: MatrixBuffer(rows: rows, columns: columns))
      }
    }
  }
}

extension ParameterSpecification {
  /// The matrix a parameter is kept as: a vector of n is 1 × n.
  var bufferShape: (rows: Int, columns: Int) {
    shape.count < 2 ? (1, shape.first ?? 1) : (shape[0], shape.dropFirst().reduce(1, *))
  }
}
