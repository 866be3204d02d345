import Datasets
import Foundation
import Numerics
import Testing
import TestSupport

@testable import OwnerRole

/// The statistics of columns, and rows in units of them.
@Suite(.waiting) struct StandardizationTests {
  /// Microseconds since 1970 that differ by less than 1,000: in 32 bits they would all be one number.
  private static let times: [Int64] = (0..<40).map { 1_700_000_000_000_000 + ($0 * 37 % 101) * 9 }
  /// Counts, which 32 bits hold.
  private static let counts: [Int64] = (0..<40).map { $0 * 13 % 29 }

  private func source(in directory: TemporaryDirectory) throws -> any FeatureSource {
    let file = directory.url("times.h5")
    let writer = try HDF5Writer(path: file.path)
    try writer.createMatrix("x", columns: 2, of: Int64.self)
    try writer.append(zip(Self.times, Self.counts).flatMap { [$0, $1] }, to: "x")
    try writer.commit()
    return try HDF5File(path: file.path).openFeatures(path: "x")
  }

  /// Mean and deviation by integers alone: no rounding is shared with what is tested.
  private func expected(_ values: [Int64], of training: [Int]) -> (mean: Double, deviation: Double) {
    let base = values[training[0]]
    let offsets = training.map { values[$0] - base }
    let (count, sum) = (Int64(offsets.count), offsets.reduce(0, +))
    // Σ (n x − Σ x)² = n³ σ².
    let scaled = offsets.reduce(Int64(0)) { $0 + (count * $1 - sum) * (count * $1 - sum) }
    let size = Double(count)
    return (Double(base) + Double(sum) / size, (Double(scaled) / (size * size * size)).squareRoot())
  }

  @Test func statisticsAreOfTheFilesOwnPrecision() throws {
    let source = try source(in: try TemporaryDirectory())
    let training = (0..<40).filter { !$0.isMultiple(of: 5) }
    let fitted = try Standardization.fit(source, rows: (0..<40).filter { !$0.isMultiple(of: 5) })
    for (column, values) in [Self.times, Self.counts].enumerated() {
      let right = expected(values, of: training)
      // Doubles of this size are a quarter apart.
      #expect(abs(fitted.mean[column] - right.mean) <= 0.5)
      #expect(abs(fitted.scale[column] / right.deviation - 1) < 1e-2 * (column == 0 ? 1 : 1e-8))
    }
    let rows = try source.standardized(by: fitted).values(rows: 0..<40)
    for (column, values) in [Self.times, Self.counts].enumerated() {
      let right = expected(values, of: training)
      for row in 0..<40 {
        let wanted = (Double(values[row] - values[0]) - (right.mean - Double(values[0]))) / right.deviation
        #expect(abs(Double(rows[row * 2 + column]) - wanted) < (column == 0 ? 0.01 : 1e-6))
      }
    }
  }

  /// A model whose statistics are of other columns is refused, not read beyond its end.
  @Test func statisticsOfOtherColumnsAreRefused() throws {
    let source = try source(in: try TemporaryDirectory())
    #expect(throws: OwnerError.self) {
      try source.standardized(by: Standardization(mean: [0, 0, 0], scale: [1, 1, 1]))
    }
  }
}
