import Exposure
import Tensors
import Training

/// The micro-batches of a run, collected.
struct ObservedParts {
  private(set) var inputs = RowCollection()
  private(set) var outputs = RowCollection()
  private(set) var gradients = RowCollection()
  private var classes: [Int32] = []
  private var values = RowCollection()

  mutating func add(_ exchange: VerifiedRun<Float>.Exchange) {
    inputs.append(exchange.inputs)
    outputs.append(exchange.outputs)
    gradients.append(exchange.outputGradient)
    switch exchange.targets {
    case .classes(let ids): classes += ids
    case .values(let rows): values.append(rows)
    }
  }

  /// Not masked; of one task, they are all of one kind.
  var targets: Targets<Float> { values.isEmpty ? .classes(classes) : .values(values.joined()) }

  func labels(isBinary: Bool) -> TrueLabels {
    switch targets {
    case .classes(let ids): .classes(ids)
    case .values(let values): .values(values, isBinary: isBinary)
    }
  }
}
