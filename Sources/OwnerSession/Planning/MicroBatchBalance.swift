import Architecture

/// Deals the samples of a batch out to its micro-batches so that all of these have about as many tokens: ranks that work on different ones then
/// come to the end of a step together. What a batch consists of stays, and so does its gradient.
package struct MicroBatchBalance: Sendable {
  private let microBatch: Int
  /// Of each row of the file.
  private let tokens: [Int32]

  /// - Parameters:
  ///   - microBatch: samples of a micro-batch, at least 1; the last of a batch may have fewer.
  ///   - tokens: of each row of the file.
  package init(microBatch: Int, tokens: [Int32]) {
    self.microBatch = microBatch
    self.tokens = tokens
  }

  /// The places of `rows`, one micro-batch after the other and within each in their own order.
  ///
  /// - Parameter rows: of the file, of one batch.
  package func places(_ rows: some RandomAccessCollection<Int32>) -> [Int] {
    let lengths = rows.map { Int(tokens[Int($0)]) }
    let room = stride(from: 0, to: lengths.count, by: microBatch).map { min(microBatch, lengths.count - $0) }
    let parts = BalancedAssignment(costs: lengths, room: room).bins
    return lengths.indices.sorted { (parts[$0], $0) < (parts[$1], $1) }
  }
}
