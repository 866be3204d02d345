package import Datasets
import Foundation
import Tensors

/// Per-column mean and scale of the training rows (population standard deviation; 0 counts as 1).
package struct Standardization: Sendable, Equatable {
  package let mean: [Double]
  package let scale: [Double]

  package init(mean: [Double], scale: [Double]) {
    self.mean = mean
    self.scale = scale
  }

  /// One sequential pass over the source in blocks, by Welford's update (Technometrics 4, 1962, p. 419).
  ///
  /// - Throws: `DatasetError` from reading.
  package static func fit(_ source: any FeatureSource, isTraining: [Bool]) throws -> Standardization {
    let columns = source.columns
    var count = 0.0
    var mean = [Double](repeating: 0, count: columns)
    var squares = [Double](repeating: 0, count: columns)
    var block = Tensor<Float>(uninitialized: [source.preferredRowBlock, columns])
    for first in stride(from: 0, to: source.rows, by: source.preferredRowBlock) {
      let range = first..<min(source.rows, first + source.preferredRowBlock)
      try block.withUnsafeMutableBufferPointer { buffer in
        try source.read(rows: range, into: UnsafeMutableBufferPointer(rebasing: buffer[0..<(range.count * columns)]))
        for row in range where isTraining[row] {
          count += 1
          let start = (row - first) * columns
          for column in 0..<columns {
            let value = Double(buffer[start + column])
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

  /// (x − mean) / scale, in place on `rows` × columns values.
  package func apply(to values: UnsafeMutableBufferPointer<Float>) {
    let columns = mean.count
    for index in values.indices {
      let column = index % columns
      values[index] = Float((Double(values[index]) - mean[column]) / scale[column])
    }
  }
}
