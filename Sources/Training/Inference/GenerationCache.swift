package import Models
package import Numerics

/// The keys and values of one session's tokens, for every attention layer of a decoder: what a model need not compute again to go on.
///
/// They are those of whatever weights made them: masked ones of a masked model. Memory is taken in chunks of `chunkTokens` tokens as the session
/// grows, and given back when it is cut or gone. Made by `HostedModel.makeCache`, extended by `HostedModel.extend`, also by another model of the
/// same layers, so that a model may leave memory while its sessions last. One thread at a time owns it.
package final class GenerationCache<Element: FloatingElement> {
  /// Tokens of a chunk.
  package static var chunkTokens: Int { CacheLayout.chunkTokens }

  /// The most tokens it may hold.
  package let capacity: Int
  /// Tokens in it.
  package private(set) var count = 0
  let layout: CacheLayout
  /// Of what its model keeps activations in.
  let chunks: any CacheChunks

  /// - Throws: `TrainingError.invalidSetting` unless `capacity` is 1 … the tokens of the model's longest sample; `.tooLarge`.
  init<Stored: ActivationElement>(
    _ layout: CacheLayout, capacity: Int, _: Stored.Type
  ) throws(TrainingError) where Stored.Accumulator == Element {
    guard (1...layout.maximumTokens).contains(capacity) else {
      throw .invalidSetting("a session has room for 1 to \(layout.maximumTokens) tokens, not \(capacity)")
    }
    guard layout.bytes(tokens: capacity, Stored.self) != nil else { throw .tooLarge }
    self.layout = layout
    self.capacity = capacity
    chunks = StoredChunks<Stored>(elementsPerToken: layout.elementsPerToken)
  }

  /// Bytes of keys and values that it takes now.
  package var bytes: Int { chunks.bytes }

  /// Bytes that this session takes once it has `tokens` tokens: whole chunks. Nil for a negative number and when the count overflows.
  package func bytesNeeded(tokens: Int) -> Int? { chunks.bytesNeeded(layout, tokens: tokens) }

  /// Bytes that a session of `tokens` tokens takes: whole chunks. Nil where the graph is not that of a decoder, for a negative number, and when
  /// the count overflows.
  /// - Parameter precision: of the model's products.
  package static func bytesNeeded(_ graph: ModelGraph, tokens: Int, precision: ProductPrecision = .full) -> Int? {
    guard let layout = try? CacheLayout(graph) else { return nil }
    return precision == .bfloat16
      ? layout.bytes(tokens: tokens, Element.Narrow.self) : layout.bytes(tokens: tokens, Element.self)
  }

  /// Forgets all but the first `tokens` tokens, and gives back the chunks that are empty then. Nothing changes where there are no more than that.
  package func truncate(to tokens: Int) {
    count = min(count, max(0, tokens))
    chunks.keep(CacheLayout.chunks(count))
  }

  // MARK: - For passes

  /// Makes room for `tokens` more tokens, which must be within the capacity.
  func reserve(_ tokens: Int) {
    chunks.grow(to: CacheLayout.chunks(count + tokens))
  }

  /// Takes `tokens` tokens, whose keys and values every layer has written, for its own.
  func commit(_ tokens: Int) {
    count += tokens
  }
}

/// The memory of a session.
protocol CacheChunks: AnyObject {
  var bytes: Int { get }
  func bytesNeeded(_ layout: CacheLayout, tokens: Int) -> Int?
  /// Gives back all but the first `count`.
  func keep(_ count: Int)
  /// Takes as many as there must be.
  func grow(to count: Int)
}

/// Keys and values as `Stored`.
final class StoredChunks<Stored: ActivationElement>: CacheChunks {
  private let elementsPerToken: Int
  /// Each `CacheLayout.chunkTokens` × `elementsPerToken`, divided among the layers by the layout.
  private var chunks: [MatrixBuffer<Stored>] = []

  init(elementsPerToken: Int) {
    self.elementsPerToken = elementsPerToken
  }

  var bytes: Int { chunks.reduce(0) { $0 + $1.count * MemoryLayout<Stored>.stride } }

  func bytesNeeded(_ layout: CacheLayout, tokens: Int) -> Int? { layout.bytes(tokens: tokens, Stored.self) }

  func keep(_ count: Int) {
    chunks.removeLast(max(0, chunks.count - count))
  }

  func grow(to count: Int) {
    while chunks.count < count {
      chunks.append(MatrixBuffer(uninitializedRows: CacheLayout.chunkTokens, columns: elementsPerToken))
    }
  }

  /// Keys and values of one attention layer, chunk by chunk, with the room for those that are not written yet. Valid while the cache is alive and
  /// not truncated.
  func memory(of attention: CacheLayout.Attention) -> KeysAndValues<Stored> {
    func views(from offset: Int, width: Int) -> [MatrixView<Stored>] {
      chunks.map {
        MatrixView($0.view.base + CacheLayout.chunkTokens * offset, rows: CacheLayout.chunkTokens, columns: width)
      }
    }
    return KeysAndValues(
      keys: views(from: attention.offset, width: attention.width),
      values: views(from: attention.offset + attention.width, width: attention.width))
  }
}

/// How the keys and values of a token are laid out, which is all that a cache and a model must agree on.
struct CacheLayout: Sendable, Equatable {
  static let chunkTokens = 128

  /// One attention layer's.
  struct Attention: Sendable, Equatable {
    /// Its place in `Model.layers`.
    let layer: Int
    /// Elements of a token's keys, and of its values: groups · headWidth.
    let width: Int
    /// Elements of a token that the layers before it take.
    let offset: Int
  }

  /// Tokens of the longest sample, beyond which there are no positions.
  let maximumTokens: Int
  /// In the order of the layers; at least one.
  let attentions: [Attention]
  let elementsPerToken: Int

  /// - Throws: `TrainingError.notGenerative` unless the graph is a decoder's: outputs by token, each of which depends on itself and those before it
  ///   alone, by at least one layer of attention. `.tooLarge`.
  init(_ graph: ModelGraph) throws(TrainingError) {
    guard let maximumTokens = graph.maximumTokens, graph.values.allSatisfy({ $0.domain == .tokens }) else {
      throw .notGenerative("its outputs are not those of single tokens")
    }
    var attentions: [Attention] = []
    var offset = 0
    for (index, layer) in graph.layers.enumerated() {
      guard case .attention(let attention) = layer.operation else { continue }
      guard attention.isCausal else { throw .notGenerative("in \(layer.name) tokens look at those after them") }
      let width = graph.values[attention.key].width
      attentions.append(Attention(layer: index, width: width, offset: offset))
      guard let next = Shape.sum([offset, width, width]) else { throw .tooLarge }
      offset = next
    }
    guard !attentions.isEmpty else { throw .notGenerative("it has no attention") }
    self.maximumTokens = maximumTokens
    self.attentions = attentions
    elementsPerToken = offset
  }

  static func chunks(_ tokens: Int) -> Int {
    tokens / chunkTokens + (tokens % chunkTokens > 0 ? 1 : 0)
  }

  /// Bytes of the chunks for so many tokens; nil for a negative number or when the count overflows.
  func bytes<Stored: ActivationElement>(tokens: Int, _: Stored.Type) -> Int? {
    guard tokens >= 0 else { return nil }
    return Shape.byteCount([Self.chunks(tokens), Self.chunkTokens, elementsPerToken], Stored.elementType)
  }
}
