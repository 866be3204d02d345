package import Cryptography
import Foundation

/// Batches of differentially private training: every row is in a step's batch with probability q, independently of all others and of all
/// other steps, by a 256-bit secret (Poisson sampling, which the accountants' amplification is of).
///
/// A row is in the batch of step t when its word of the stream "batch/context/t" is below ⌊q·2⁶⁴⌋, so that the probability is q less at most
/// 2⁻⁶⁴, and never more.
package struct PoissonSampling: Sendable {
  /// N.
  package let rows: Int
  /// B, the expected size of a batch.
  package let expectedBatch: Int
  /// The largest batch that is worked on: a larger one has a probability below 2⁻⁶⁴ at each step.
  package let capacity: Int
  private let secret: SecretBuffer
  private let context: String
  /// Nil where every row is in every batch.
  private let threshold: UInt64?

  /// - Parameters:
  ///   - secret: 32 bytes from the system's generator.
  ///   - context: what the batches are of, a part of every label: a job, or a site of a federation.
  /// - Throws: `TrainingError.invalidSetting` unless 1 ≤ `expectedBatch` ≤ `rows`.
  package init(secret: SecretBuffer, context: String, rows: Int, expectedBatch: Int) throws(TrainingError) {
    guard expectedBatch >= 1, expectedBatch <= rows else {
      throw .invalidSetting(
        "batches of \(expectedBatch) rows on average cannot be drawn from \(rows) rows; make the batch smaller")
    }
    self.secret = secret
    self.context = context
    self.rows = rows
    self.expectedBatch = expectedBatch
    capacity = Self.capacity(rows: rows, expectedBatch: expectedBatch)
    threshold =
      expectedBatch == rows ? nil : UInt64(rows).dividingFullWidth((high: UInt64(expectedBatch), low: 0)).quotient
  }

  /// q = B/N.
  package var rate: Double { Double(expectedBatch) / Double(rows) }

  /// The numbers 0 ..< N of the rows in the batch of step `step`, ascending; perhaps none.
  ///
  /// - Throws: `TrainingError.batchRows` for more than `capacity`.
  package func batch(step: Int) throws(TrainingError) -> [Int32] {
    guard let threshold else { return (0..<rows).map { Int32($0) } }
    let stream = KeyStream(secret: secret, label: "batch/\(context)/\(step)")
    var batch: [Int32] = []
    batch.reserveCapacity(capacity)
    for row in 0..<rows where stream.nextWord() < threshold { batch.append(Int32(row)) }
    guard batch.count <= capacity else { throw .batchRows(rows: batch.count, capacity: capacity) }
    return batch
  }

  /// The smallest K with P(X > K) ≤ 2⁻⁶⁴ by Chernoff's bound for X the number of N rows that are drawn with probability q:
  /// P(X ≥ k) ≤ exp(−N · KL(k/N ‖ q)) for k > qN, KL the divergence of two coins (Hoeffding, 1963, theorem 1).
  static func capacity(rows: Int, expectedBatch: Int) -> Int {
    guard expectedBatch < rows else { return rows }
    let (n, q) = (Double(rows), Double(expectedBatch) / Double(rows))
    func exponent(_ k: Int) -> Double {
      let p = Double(k) / n
      return n * (p * log(p / q) + (k == rows ? 0 : (1 - p) * log((1 - p) / (1 - q))))
    }
    // The exponent grows with k above qN. `high` + 1 is never drawn or unlikely enough.
    var (low, high) = (expectedBatch - 1, rows)
    while high - low > 1 {
      let middle = low + (high - low) / 2
      if exponent(middle + 1) >= 64 * log(2) { high = middle } else { low = middle }
    }
    return high
  }
}
