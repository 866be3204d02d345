/// How the token rows of a pass are divided into samples. Samples follow each other without padding.
package struct SequenceLayout: Sendable, Equatable {
  /// Start of each sample's tokens, and the end of the last sample's: `samples` + 1 ascending numbers from 0.
  package let offsets: [Int]
  /// The row of each sample's pooled token, within the sample's range; empty when no layer pools by it.
  package let pooled: [Int]

  package init(offsets: [Int], pooled: [Int]) {
    self.offsets = offsets
    self.pooled = pooled
  }

  /// Of samples with these lengths, and pooled tokens at these places within them.
  package init(lengths: some Sequence<Int32>, pooled: some Sequence<Int32>) {
    var offsets = [0]
    var places: [Int] = []
    for (length, place) in zip(lengths, pooled) {
      let start = offsets[offsets.count - 1]
      places.append(start + Int(place))
      offsets.append(start + Int(length))
    }
    self.init(offsets: offsets, pooled: places)
  }

  package var samples: Int { max(0, offsets.count - 1) }
  package var tokens: Int { offsets.last ?? 0 }

  package func range(ofSample sample: Int) -> Range<Int> {
    offsets[sample]..<offsets[sample + 1]
  }

  /// The sample that a token row belongs to.
  func sample(ofToken row: Int) -> Int {
    var (low, high) = (0, samples)
    while high - low > 1 {
      let middle = (low + high) / 2
      if offsets[middle] <= row { low = middle } else { high = middle }
    }
    return low
  }
}
