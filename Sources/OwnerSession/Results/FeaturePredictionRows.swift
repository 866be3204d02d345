import Datasets
import Masking
import Tensors
import Wire

/// Rows of features to predict, masked block by block.
struct FeaturePredictionRows<Element: FloatingElement> {
  let source: any FeatureSource
  let standardization: Standardization?
  /// Nil for a job without.
  let noise: InputNoise?
  let keys: JobKeys<Element>

  func forEachPart(of size: Int, _ body: ([PredictedRow], RowDelivery<Element>) throws -> Void) throws {
    let rows = try source.standardized(by: standardization)
    let reader = BlockReader<Tensor<Float>>(of: rows) { try rows.values(rows: $0) }
    while let block = try reader.next() {
      var values = block.content
      try noise?.add(to: &values, numbers: block.rows.map { Int32($0) }, workers: keys.workers)
      let masked = try keys.maskInputs(values.converted(to: Element.self))
      for first in stride(from: 0, to: masked.rows, by: size) {
        let range = first..<min(masked.rows, first + size)
        let slots = range.map { Int32(block.rows.lowerBound + $0) }
        try body(
          slots.map { _ in PredictedRow() },
          RowDelivery(
            slots: Tensor(slots, shape: [slots.count]), carried: Tensor<UInt8>(repeating: 1, shape: [slots.count]),
            values: masked.slice(rows: range)))
      }
    }
  }
}
