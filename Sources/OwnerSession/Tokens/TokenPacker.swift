import Masking
import Tensors
import Wire

/// Embeds, noises, shuffles and masks samples of tokens for one message.
struct TokenPacker<Element: FloatingElement> {
  let embedding: TokenEmbedding<Element>
  let keys: JobKeys<Element>
  /// What orders of tokens are drawn from: the key that `keys` are expanded from.
  let master: MasterKey
  /// Nil for a job without.
  let noise: InputNoise?
  let settings: TokenSettings
  let workers: Workers

  /// - Parameter pass: the epoch; a sample's tokens go in an order of their own in each.
  func pack(_ samples: [[Token]], slots: some Collection<Int32>, pass: Int) throws -> RowDelivery<Element> {
    var tokens: [Token] = []
    tokens.reserveCapacity(samples.reduce(0) { $0 + $1.count })
    var lengths: [Int32] = []
    var pooled: [Int32] = []
    var placed: [(number: Int32, places: [Int])] = []
    let orders = orders(pass: pass)
    for (slot, sample) in zip(slots, samples) {
      let order = orders(sample.count, slot)
      for place in order { tokens.append(sample[place]) }
      lengths.append(Int32(sample.count))
      let marked = settings.poolsLast ? sample.count - 1 : 0
      pooled.append(Int32(order.firstIndex(of: marked) ?? 0))
      placed.append((slot, order))
    }
    var vectors = embedding.vectors(tokens, workers: workers)
    try noise?.add(to: &vectors, samples: placed, workers: workers)
    return RowDelivery(
      slots: Tensor(Array(slots), shape: [slots.count]), lengths: Tensor(lengths, shape: [lengths.count]),
      pooled: Tensor(pooled, shape: [pooled.count]),
      values: try keys.maskInputs(vectors))
  }

  /// Places in the file's order, in the order they are sent, for a number of tokens and a slot.
  func orders(pass: Int) -> (Int, Int32) -> [Int] {
    guard settings.shuffles else { return { count, _ in Array(0..<count) } }
    let drawn = TokenOrder(master: master, pass: pass)
    return { count, slot in drawn.order(sample: Int(slot), tokens: count) }
  }
}
