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

extension Model {
  /// - Throws: `TrainingError.sequences` unless the samples are laid out as this model takes them: `sequences` is nil exactly where a sample is
  ///   one row.
  func check(_ sequences: SequenceLayout?, samples: Int) throws(TrainingError) {
    switch (rules, sequences) {
    case (let rules?, let sequences?): try rules.check(sequences, samples: samples)
    case (nil, nil): break
    case (.some, nil): throw .sequences("each is several tokens, and they came without their lengths")
    case (nil, .some): throw .sequences("each is one row, and they came with lengths")
    }
  }
}
