import Architecture
import Tensors

extension TransformerDescription {
  /// The limits that keep a description from costing time or memory before anything is computed with it.
  private static var mostBlocks: Int { 1024 }
  private static var mostTokens: Int { 1 << 20 }

  /// Width of all query heads together.
  var queryWidth: Int { heads * headWidth }
  /// Width of all heads of keys, or of values, together.
  var keyWidth: Int { keyValueHeads * headWidth }
  /// What the rows of everything after the last block's keys and values are.
  var headDomain: RowDomain { head.pooling == .none ? .tokens : .samples }
  /// Whether the last block is computed for the pooled token alone: nothing after its keys and values mixes tokens.
  var prunesLastBlock: Bool { head.pooling == .cls || head.pooling == .last }

  /// - Throws: `TrainingError.invalidModel` naming the first number out of its range, `.tooLarge` for sizes whose product
  ///   overflows. The products above are safe after it.
  func validate() throws(TrainingError) {
    for (number, name) in [
      (width, "width"), (blocks, "blocks"), (heads, "heads"), (keyValueHeads, "keyValueHeads"),
      (headWidth, "headWidth"), (hidden, "hidden"), (head.outputs, "outputs"), (maximumTokens, "maximumTokens"),
    ] where number < 1 {
      throw .invalidModel("\(name) must be at least 1, not \(number)")
    }
    guard blocks <= Self.mostBlocks else { throw .invalidModel("\(blocks) blocks; at most \(Self.mostBlocks)") }
    guard maximumTokens <= Self.mostTokens else {
      throw .invalidModel("samples of \(maximumTokens) tokens; at most \(Self.mostTokens)")
    }
    guard normEpsilon.isFinite, normEpsilon > 0 else { throw .invalidModel("normEpsilon must be above 0") }
    guard heads % keyValueHeads == 0 else {
      throw .invalidModel("\(heads) heads are not a multiple of \(keyValueHeads) heads of keys and values")
    }
    if let rotary { try validate(rotary) }
    if let adaptation = trained.adaptation { try validate(adaptation) }
    for shape in [
      [heads, headWidth, width], [hidden, width], [head.outputs, width], [width, width],
      [trained.adaptation?.rank ?? 1, width], [trained.adaptation?.rank ?? 1, hidden],
    ] where Shape.byteCount(shape, .float64) == nil {
      throw .tooLarge
    }
  }

  private func validate(_ rotary: RotaryDescription) throws(TrainingError) {
    guard headWidth % 2 == 0, rotary.frequencies.count == headWidth / 2 else {
      throw .invalidModel("\(rotary.frequencies.count) rotary frequencies for heads of width \(headWidth)")
    }
    guard rotary.frequencies.allSatisfy(\.isFinite) else {
      throw .invalidModel("rotary frequencies must be finite numbers")
    }
  }

  private func validate(_ adaptation: LowRankAdaptation) throws(TrainingError) {
    guard adaptation.rank >= 1 else { throw .invalidModel("the rank of an adapter must be at least 1") }
    guard adaptation.alpha.isFinite else { throw .invalidModel("alpha of an adapter must be a finite number") }
    guard !adaptation.targets.isEmpty else { throw .invalidModel("an adapter needs at least one target") }
  }
}
