import Models
import Numerics

/// How a decoder runs over the new tokens of sessions: all of them up to the last attention, and from there on the last of each part alone, since
/// nothing after it mixes tokens.
struct GenerationPlan {
  let layout: CacheLayout
  let allTokens: PassPlan
  let lastTokens: PassPlan
  /// Values that `lastTokens` reads and does not write.
  let carried: [Int]

  /// - Parameter plan: the whole forward pass.
  /// - Throws: `TrainingError.notGenerative`, `.tooLarge`.
  init(_ graph: ModelGraph, _ model: Model, _ plan: PassPlan) throws(TrainingError) {
    layout = try CacheLayout(graph)
    let split = (layout.attentions.last?.layer ?? 0) + 1
    allTokens = PassPlan(passes: Array(plan.passes[..<split]), places: plan.places)
    lastTokens = PassPlan(passes: Array(plan.passes[split...]), places: plan.places)
    // Layer i writes value i + 1.
    carried = Set(model.layers[split...].flatMap(\.inputs)).filter { $0 <= split }.sorted()
  }
}

/// Which tokens of which parts go through the model together.
struct GenerationBlock: Equatable {
  struct Slice: Equatable {
    let part: Int
    /// Rows of the part.
    let rows: Range<Int>
    /// Whether the part's last token is among them.
    let isLast: Bool
  }

  private(set) var slices: [Slice] = []
  private(set) var tokens = 0

  /// Parts in their order, cut where a block is full.
  ///
  /// - Parameters:
  ///   - lengths: tokens of each part.
  ///   - size: the most tokens of a block.
  static func cut(_ lengths: [Int], size: Int) -> [GenerationBlock] {
    var blocks: [GenerationBlock] = []
    var block = GenerationBlock()
    for (part, length) in lengths.enumerated() {
      var first = 0
      while first < length {
        let end = min(length, first + size - block.tokens)
        block.slices.append(Slice(part: part, rows: first..<end, isLast: end == length))
        block.tokens += end - first
        first = end
        if block.tokens == size {
          blocks.append(block)
          block = GenerationBlock()
        }
      }
    }
    return block.tokens > 0 ? blocks + [block] : blocks
  }

  /// The tokens' division into samples, one for each slice.
  var layout: SequenceLayout {
    SequenceLayout(offsets: slices.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.rows.count) }, pooled: [])
  }
}

/// The sessions that the samples of a pass continue.
struct ContinuedSessions<Stored: ActivationElement> {
  /// The position of each sample's first token.
  let starts: [Int]
  /// Of each sample; empty where no attention comes.
  let chunks: [StoredChunks<Stored>]
  let layout: CacheLayout

  /// What the layer at that place of the model is told.
  func past(ofLayer layer: Int) -> PastTokens<Stored> {
    let attention = layout.attentions.first { $0.layer == layer }
    return PastTokens(
      starts: starts, memory: attention.map { attention in chunks.map { $0.memory(of: attention) } } ?? [])
  }
}
