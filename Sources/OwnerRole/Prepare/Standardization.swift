package import Datasets
import Foundation
import Numerics

/// Per-column mean and scale of the training rows (population standard deviation; 0 counts as 1).
package struct Standardization: Sendable, Equatable {
  package let mean: [Double]
  package let scale: [Double]

  package init(mean: [Double], scale: [Double]) {
    self.mean = mean
    self.scale = scale
  }

  /// One sequential pass over the source in blocks, in the file's own precision, by Welford's update (Technometrics 4, 1962, p. 419).
  ///
  /// - Parameter trainingRows: the rows that count.
  /// - Throws: `DatasetError` from reading.
  package static func fit(_ source: any FeatureSource, rows trainingRows: [Int]) throws -> Standardization {
    let columns = source.columns
    var count = 0.0
    var mean = [Double](repeating: 0, count: columns)
    var squares = [Double](repeating: 0, count: columns)
    try source.forEach(of: trainingRows) { row in
      count += 1
      for column in 0..<columns {
        let difference = row[column] - mean[column]
        mean[column] += difference / count
        squares[column] += difference * (row[column] - mean[column])
      }
    }
    let scale = squares.map { sum in
      let deviation = (sum / max(1, count)).squareRoot()
      return deviation == 0 ? 1 : deviation
    }
    return Standardization(mean: mean, scale: scale)
  }
}

extension FeatureSource {
  /// Calls `body` with each of some rows in the order of the file, in the file's own precision: one sequential pass in blocks.
  ///
  /// - Throws: `DatasetError` from reading.
  package func forEach(of rows: [Int], _ body: (UnsafeBufferPointer<Double>) -> Void) throws {
    var isMeant = [Bool](repeating: false, count: self.rows)
    for row in rows { isMeant[row] = true }
    var block = Tensor<Double>(uninitialized: [preferredRowBlock, columns])
    for first in stride(from: 0, to: self.rows, by: preferredRowBlock) {
      let range = first..<min(self.rows, first + preferredRowBlock)
      try block.withUnsafeMutableBufferPointer { buffer in
        try read(rows: range, into: UnsafeMutableBufferPointer(rebasing: buffer[0..<(range.count * columns)]))
        for row in range where isMeant[row] {
          let start = (row - first) * columns
          body(UnsafeBufferPointer(rebasing: buffer[start..<start + columns]))
        }
      }
    }
  }

  /// These features, standardised where there are statistics.
  ///
  /// - Throws: `OwnerError.unfitData` when the statistics are of another number of columns.
  func standardized(by statistics: Standardization?) throws(OwnerError) -> any FeatureSource {
    guard let statistics else { return self }
    guard statistics.mean.count == columns, statistics.scale.count == columns else {
      throw .unfitData(
        "the model's standardisation is of \(statistics.mean.count) columns, and the data has \(columns)")
    }
    return StandardizedFeatures(source: self, statistics: statistics)
  }
}

/// Features as (x − mean) / scale, worked out in the file's own precision and rounded once, at the end.
private struct StandardizedFeatures: FeatureSource {
  let source: any FeatureSource
  let statistics: Standardization

  var rows: Int { source.rows }
  var columns: Int { source.columns }
  var preferredRowBlock: Int { source.preferredRowBlock }
  var inflationsPerChunk: Int { source.inflationsPerChunk }

  func read(rows: Range<Int>, into destination: UnsafeMutableBufferPointer<Double>) throws(DatasetError) {
    try source.read(rows: rows, into: destination)
    let columns = columns
    for row in 0..<rows.count {
      for column in 0..<columns {
        let index = row * columns + column
        destination[index] = (destination[index] - statistics.mean[column]) / statistics.scale[column]
      }
    }
  }

  func read(rows: Range<Int>, into destination: UnsafeMutableBufferPointer<Float>) throws(DatasetError) {
    var values = [Double](repeating: 0, count: rows.count * columns)
    let result: Result<Void, DatasetError> = values.withUnsafeMutableBufferPointer { buffer in
      Result { () throws(DatasetError) in try read(rows: rows, into: buffer) }
    }
    try result.get()
    for (index, value) in values.enumerated() { destination[index] = Float(value) }
  }
}
