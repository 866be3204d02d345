import Numerics
import Protocol

/// Sends parts of a prediction and receives their outputs in order, a few in flight at a time.
struct PredictionParts<Element: FloatingElement> {
  let connection: TrainerConnection<Element>
  let window: Int
  /// Columns of an output.
  let outputs: Int
  private var awaited: [[PredictedRow]] = []
  private var part = 0

  init(connection: TrainerConnection<Element>, window: Int, outputs: Int) {
    self.connection = connection
    self.window = window
    self.outputs = outputs
  }

  mutating func send(
    _ rows: [PredictedRow], _ delivery: RowDelivery<Element>, use: ([PredictedRow], Tensor<Element>) throws -> Void
  ) throws {
    while awaited.count >= window { try receive(use) }
    try connection.send(.evaluate(epoch: 0, part: part, rows: delivery))
    part += 1
    awaited.append(rows)
  }

  mutating func finish(use: ([PredictedRow], Tensor<Element>) throws -> Void) throws {
    while !awaited.isEmpty { try receive(use) }
  }

  private mutating func receive(_ use: ([PredictedRow], Tensor<Element>) throws -> Void) throws {
    let values: Tensor<Element> = try connection.waitFor { message in
      switch message {
      case .evaluated(_, _, let outputs): return outputs
      case .removed: throw JobSubmission<Element>.isRemoved
      default: return nil
      }
    }
    let rows = awaited.removeFirst()
    guard values.shape == [rows.reduce(0) { $0 + $1.outputs }, outputs], values.allFinite else {
      throw OwnerError.protocolViolation("predictions of shape \(values.shape)")
    }
    try use(rows, values)
  }
}
