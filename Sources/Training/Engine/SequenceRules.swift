import Architecture

/// What an engine expects of samples that are sequences.
struct SequenceRules: Equatable {
  /// Tokens of the longest sample.
  let maximumTokens: Int
  /// Whether a layer reads each sample's pooled token.
  let needsPooledTokens: Bool

  init(maximumTokens: Int, needsPooledTokens: Bool) {
    self.maximumTokens = maximumTokens
    self.needsPooledTokens = needsPooledTokens
  }

  /// Nil where a sample is one row.
  init?(_ description: ModelDescription) {
    guard case .transformer(let transformer) = description else { return nil }
    let pooling = transformer.head.pooling
    self.init(maximumTokens: transformer.maximumTokens, needsPooledTokens: pooling == .cls || pooling == .last)
  }

  /// - Throws: `TrainingError.sequences` unless these are `samples` samples of 1 … `maximumTokens` tokens, each with its pooled
  ///   token within it where one is needed.
  func check(_ sequences: SequenceLayout, samples: Int) throws(TrainingError) {
    let (offsets, pooled) = (sequences.offsets, sequences.pooled)
    guard offsets.first == 0, sequences.samples == samples else {
      throw .sequences("\(sequences.samples) samples where \(samples) are due")
    }
    guard pooled.count == samples || (pooled.isEmpty && !needsPooledTokens) else {
      throw .sequences("\(pooled.count) pooled tokens for \(samples) samples")
    }
    for sample in 0..<samples {
      let (start, end) = (offsets[sample], offsets[sample + 1])
      guard start >= 0, end > start else { throw .sequences("sample \(sample) has no tokens") }
      guard end - start <= maximumTokens else {
        throw .sequences("sample \(sample) has \(end - start) tokens, the model takes \(maximumTokens)")
      }
      if !pooled.isEmpty, !(start..<end).contains(pooled[sample]) {
        throw .sequences("the pooled token of sample \(sample) is not in it")
      }
    }
  }
}
