package import Masking
package import Tensors

/// Samples in the clear, row by row in the order they are sent in.
package struct PlaintextSamples {
  package let rows: Tensor<Float>
  /// Tokens of each sample, and of each row its token and the place it had; nil where a sample is one row.
  package let lengths: [Int32]?
  package let ids: [Int32]?
  package let positions: [Int32]?
}

extension VerificationSource<Float> {
  /// - Parameter master: what the order of the tokens is drawn from.
  package func plaintext(of slots: some Collection<Int32>, master: MasterKey) throws -> PlaintextSamples {
    guard let tokens else {
      guard case .features(let source) = prepared.source else { throw OwnerError.unfitJob("the job has no features") }
      return PlaintextSamples(
        rows: try readRows(Array(slots)[...], source), lengths: nil, ids: nil, positions: nil)
    }
    let keys = JobKeys<Float>(master: master, plan: prepared.shape.keyPlan, workers: workers)
    let orders = samples(tokens, keys: keys, master: master).packer.orders(pass: 0)
    var sent: [Token] = []
    var lengths: [Int32] = []
    for (slot, sample) in zip(slots, try tokens.spool.samples(slots)) {
      for place in orders(sample.count, slot) { sent.append(sample[place]) }
      lengths.append(Int32(sample.count))
    }
    return PlaintextSamples(
      rows: tokens.embedding.vectors(sent, workers: workers), lengths: lengths, ids: sent.map(\.id),
      positions: sent.map(\.position))
  }

  /// The tokens of samples in the order of the file.
  package func texts(of slots: some Collection<Int32>) throws -> [[Int32]]? {
    try tokens?.spool.samples(slots).map { $0.map(\.id) }
  }
}
