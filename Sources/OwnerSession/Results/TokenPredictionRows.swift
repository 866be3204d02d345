import Architecture
import Tensors
import Wire

/// Token samples to predict, packed part by part.
struct TokenPredictionRows<Element: FloatingElement> {
  let inputs: TokenInputs
  let packer: TokenPacker<Element>

  func forEachPart(of size: Int, _ body: ([PredictedRow], RowDelivery<Element>) throws -> Void) throws {
    var samples: [[Token]] = []
    var first: Int32 = 0
    let orders = packer.orders(pass: 0)
    func flush() throws {
      guard !samples.isEmpty else { return }
      let slots = (0..<samples.count).map { first + Int32($0) }
      let rows = zip(slots, samples).map { slot, sample in
        guard packer.settings.task.isPerToken else { return PredictedRow() }
        let order = orders(sample.count, slot)
        return PredictedRow(outputs: sample.count, columns: order.map { Int(sample[$0].position) })
      }
      try body(rows, try packer.pack(samples, slots: slots, pass: 0))
      first += Int32(samples.count)
      samples = []
    }
    try inputs.forEachSample { _, sample in
      samples.append(sample)
      if samples.count == size { try flush() }
    }
    try flush()
  }
}
