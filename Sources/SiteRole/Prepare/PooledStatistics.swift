import Datasets
import OwnerRole

/// One site's share of the mean and the deviation of every column over all sites' training rows. Two sums, of which the second needs the first:
/// Σ x, then Σ (x − mean)², which loses no digits where values are large and differ little.
enum PooledStatistics {
  /// One sequential pass over the file in blocks, in the file's own precision; sums in the order of the file.
  ///
  /// - Parameter means: nil for the sum of the values.
  /// - Returns: a number for each column.
  /// - Throws: `DatasetError` from reading.
  static func sums(
    _ source: any FeatureSource, rows trainingRows: [Int], about means: [Double]? = nil
  ) throws -> [Double] {
    var sums = [Double](repeating: 0, count: source.columns)
    try source.forEach(of: trainingRows) { row in
      for column in sums.indices {
        if let means {
          let difference = row[column] - means[column]
          sums[column] += difference * difference
        } else {
          sums[column] += row[column]
        }
      }
    }
    return sums
  }

  /// - Parameters:
  ///   - sums: of each column over all rows, then the number of rows.
  /// - Returns: nil where there are no rows.
  static func means(_ sums: [Double]) -> [Double]? {
    guard let rows = sums.last, rows > 0 else { return nil }
    return sums.dropLast().map { $0 / rows }
  }

  /// N / (C · N_c) for each of C classes, N_c of all N training rows of the sites being of class c: 1 in the mean over all rows. Of a class
  /// without rows it is 0, which no row has.
  static func classWeights(_ counts: [Double]) -> [Double] {
    let rows = counts.reduce(0, +)
    return counts.map { $0 > 0 ? rows / (Double(counts.count) * $0) : 0 }
  }

  /// The population's deviation, 0 counting as 1, as a job has it.
  static func standardization(means: [Double], squares: [Double]) -> Standardization? {
    guard let rows = squares.last, rows > 0, squares.count == means.count + 1 else { return nil }
    return Standardization(
      mean: means,
      scale: squares.dropLast().map { sum in
        let deviation = (sum / rows).squareRoot()
        return deviation == 0 ? 1 : deviation
      })
  }
}
