package import Numerics

/// The masked input rows of one micro-batch: named by slot, and carried along unless the trainer keeps them already.
///
/// A slot is a row's number in the job, 0 ..< totalRows. Under one key a row's mask never changes, so a row is sent once and
/// referred to afterwards, as long as its slot is below the capacity that the trainer granted.
package struct RowDelivery<Element: FloatingElement>: Sendable, Equatable {
  /// [n]: the slot of each row.
  package let slots: Tensor<Int32>
  /// [n]: 1 where the row itself is in `values`, 0 where the trainer keeps it.
  package let carried: Tensor<UInt8>
  /// [m, width]: the carried rows in order; where samples are sequences, all tokens of the first sample, then of the next.
  package let values: Tensor<Element>
  /// [n]: tokens of each sample, at least 1; empty where a sample is one row. Sequences are always carried.
  package let lengths: Tensor<Int32>
  /// [n]: place of each sample's pooled token among its tokens; empty where a sample is one row.
  package let pooled: Tensor<Int32>

  package init(slots: Tensor<Int32>, carried: Tensor<UInt8>, values: Tensor<Element>) {
    self.slots = slots
    self.carried = carried
    self.values = values
    lengths = Tensor(zeros: [0])
    pooled = Tensor(zeros: [0])
  }

  /// Samples of several tokens each, all carried.
  package init(slots: Tensor<Int32>, lengths: Tensor<Int32>, pooled: Tensor<Int32>, values: Tensor<Element>) {
    self.slots = slots
    carried = Tensor(repeating: 1, shape: slots.shape)
    self.values = values
    self.lengths = lengths
    self.pooled = pooled
  }

  package var hasSequences: Bool { lengths.count > 0 }

  package var count: Int { slots.count }

  func attach(to envelope: inout Envelope) {
    envelope.attach(slots)
    envelope.attach(carried)
    envelope.attach(values: values)
    envelope.attach(lengths)
    envelope.attach(pooled)
  }

  init(from envelope: inout OpenedEnvelope) throws(WireError) {
    slots = try envelope.takeTensor("row slots", rank: 1...1)
    carried = try envelope.takeTensor("carried flags", rank: 1...1)
    values = try envelope.takeValues("rows")
    lengths = try envelope.takeTensor("sample lengths", rank: 1...1)
    pooled = try envelope.takeTensor("pooled tokens", rank: 1...1)
    guard carried.count == slots.count else { throw .misshapen("carried flags do not match the slots") }
    let flags = carried.elements
    guard flags.allSatisfy({ $0 <= 1 }) else { throw .malformed("a carried flag other than 0 or 1") }
    guard hasSequences else {
      guard pooled.count == 0 else { throw .misshapen("pooled tokens without sample lengths") }
      guard flags.count(where: { $0 == 1 }) == values.rows else {
        throw .misshapen("as many rows as carried flags are due")
      }
      return
    }
    guard flags.allSatisfy({ $0 == 1 }) else { throw .malformed("a sequence that is not carried") }
    try Self.check(lengths: lengths, pooled: pooled, samples: slots.count, tokens: values.rows)
  }

  /// - Throws: `WireError.misshapen` unless every sample has its length and its pooled token, and the lengths add up to `tokens`.
  static func check(
    lengths: Tensor<Int32>, pooled: Tensor<Int32>, samples: Int, tokens: Int
  ) throws(WireError) {
    guard lengths.count == samples, pooled.count == samples else {
      throw .misshapen("sample lengths do not match the slots")
    }
    var total = 0
    for (length, place) in zip(lengths.elements, pooled.elements) {
      guard length >= 1, place >= 0, place < length else { throw .misshapen("a pooled token outside its sample") }
      // Below 2^31 samples of below 2^31 tokens.
      total += Int(length)
    }
    guard total == tokens else { throw .misshapen("\(tokens) tokens where the lengths add up to \(total)") }
  }
}

/// Masked labels for loss at the trainer.
package enum MaskedTargets<Element: FloatingElement>: Sendable, Equatable {
  /// [n] permuted class ids.
  case classes(Tensor<Int32>)
  /// [n, outputs] masked values, NaN where missing.
  case values(Tensor<Element>)

  package var count: Int {
    switch self {
    case .classes(let ids): ids.rows
    case .values(let values): values.rows
    }
  }
}
