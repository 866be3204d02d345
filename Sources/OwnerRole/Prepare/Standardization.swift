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
    var isTraining = [Bool](repeating: false, count: source.rows)
    for row in trainingRows { isTraining[row] = true }
    let columns = source.columns
    var count = 0.0
    var mean = [Double](repeating: 0, count: columns)
    var squares = [Double](repeating: 0, count: columns)
    var block = Tensor<Double>(uninitialized: [source.preferredRowBlock, columns])
    for first in stride(from: 0, to: source.rows, by: source.preferredRowBlock) {
      let range = first..<min(source.rows, first + source.preferredRowBlock)
      try block.withUnsafeMutableBufferPointer { buffer in
        try source.read(rows: range, into: UnsafeMutableBufferPointer(rebasing: buffer[0..<(range.count * columns)]))
        for row in range where isTraining[row] {
          count += 1
          let start = (row - first) * columns
          for column in 0..<columns {
            let value = buffer[start + column]
            let difference = value - mean[column]
            mean[column] += difference / count
            squares[column] += difference * (value - mean[column])
          }
        }
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
