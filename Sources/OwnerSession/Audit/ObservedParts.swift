import Exposure
import Tensors
import Training

/// The micro-batches of a run, collected.
struct ObservedParts {
  private(set) var inputs = RowCollection()
  private(set) var outputs = RowCollection()
  private(set) var gradients = RowCollection()
  private(set) var targets = Targets<Float>.classes([])

  mutating func add(_ exchange: VerifiedRun<Float>.Exchange) {
    inputs.append(exchange.inputs)
    outputs.append(exchange.outputs)
    gradients.append(exchange.outputGradient)
    switch (targets, exchange.targets) {
    case (.classes(let known), .classes(let more)): targets = .classes(known + more)
    case (.values(let known), .values(let more)):
      targets = .values(Tensor(known.elements + more.elements, shape: [known.rows + more.rows, more.columns]))
    default: targets = exchange.targets
    }
  }

  func labels(isBinary: Bool) -> TrueLabels {
    switch targets {
    case .classes(let ids): .classes(ids)
    case .values(let values): .values(values, isBinary: isBinary)
    }
  }
}
