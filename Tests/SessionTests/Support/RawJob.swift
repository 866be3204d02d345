import Models
import Numerics
import Training
import Protocol

extension ModelGraph {
  /// A perceptron of sizes that can be, without padding, with 3 outputs.
  static func perceptron(features: Int, hidden: [Int]) -> ModelGraph {
    do {
      return try .perceptron(
        input: HomogeneousColumns(features: features, padding: 0), hidden: hidden, activation: .relu, outputs: 3)
    } catch {
      preconditionFailure("\(error)")
    }
  }
}

/// A job to speak about by hand: 4 features, 3 outputs, 20 rows in batches of 8 as parts of 4, and 5 rows for validation.
struct RawJob<Element: FloatingElement> {
  var description = JobDescription(
    purpose: .training,
    graph: .perceptron(features: 4, hidden: [6]),
    optimizer: SmallJob.sgd(), schedule: ScheduleDescription(warmup: 0, decay: .none), lossLocation: .owner, task: nil,
    epochs: 2, stepsPerEpoch: 3, batch: 8, microBatch: 4, keep: .last, checkpointEverySteps: 2, trainingRows: 20,
    validationRows: 5)

  static var width: Int { 5 }

  /// Submits, uploads weights and attaches.
  func begin(_ owner: RawOwner<Element>) throws {
    try owner.send(.submit(description))
    try upload(owner)
    try attach(owner)
  }

  func upload(_ owner: RawOwner<Element>) throws {
    let specifications = Model(description.graph).structure.parameters
    for (chunk, specification) in specifications.enumerated() {
      try owner.send(.parameters(chunk: chunk, values: Tensor(repeating: 0.1, shape: specification.shape)))
    }
    let due = specifications.count
    _ = try owner.wait { message in
      if case .stored(due) = message { return true }
      return nil as Bool?
    }
  }

  @discardableResult
  func attach(_ owner: RawOwner<Element>, historySteps: Int = 0) throws -> (step: Int, window: Int) {
    try owner.send(.attach(historySteps: historySteps))
    return try owner.wait { message in
      if case .attached(let step, _, let window, _) = message { return (step, window) }
      return nil
    }
  }

  /// Rows in `slots`, all carried.
  static func rows(_ slots: Range<Int>, width: Int = RawJob.width, value: Element = 0.5) -> RowDelivery<Element> {
    RowDelivery(
      slots: Tensor(slots.map { Int32($0) }, shape: [slots.count]), carried: Tensor(repeating: 1, shape: [slots.count]),
      values: Tensor(repeating: value, shape: [slots.count, width]))
  }

  static func gradient(rows: Int = 4, columns: Int = 3, value: Element = 0.01) -> Tensor<Element> {
    Tensor(repeating: value, shape: [rows, columns])
  }
}
