import Families
import Masking
import Numerics

/// Embeds and masks the tokens of one text under one key, and keeps their masked rows: a token has the same bits whenever it is sent again.
///
/// Under a rotation the bits of a row depend on how many are masked with it. So the prompt is always one block, and each token after it one of its own:
/// also in another process that goes on with the text.
struct TextMasker<Element: FloatingElement> {
  /// What its outputs are unmasked with, too.
  let keys: JobKeys<Element>
  private let embedding: TokenEmbedding<Element>
  private let noise: TokenNoise?
  private let compute: Compute
  /// Row-major.
  private var masked: [Element] = []
  private(set) var count = 0

  /// - Parameter noise: of this text's tokens from the first on.
  init(embedding: TokenEmbedding<Element>, keys: JobKeys<Element>, noise: TokenNoise?, compute: Compute) {
    self.embedding = embedding
    self.keys = keys
    self.noise = noise
    self.compute = compute
  }

  mutating func append(_ tokens: [Token]) throws {
    var vectors = embedding.vectors(tokens, workers: compute.workers)
    noise?.add(to: &vectors)
    masked += try keys.maskInputs(vectors).elements
    count += tokens.count
  }

  /// The masked rows of all tokens from number `start` on, at least one: [n, width].
  func rows(from start: Int) -> Tensor<Element> {
    let width = keys.plan.input.width
    return Tensor(Array(masked[(start * width)...]), shape: [count - start, width])
  }
}

extension DeploymentClient {
  /// For one text.
  ///
  /// - Parameters:
  ///   - draw: number of the command's own secret, which the noise is drawn from: that of a text that is masked again, under another session or key.
  ///   - row: of the prompt.
  func masker(draw: Int, row: Int) throws -> TextMasker<Element> {
    guard let embedding = material.embedding else {
      throw OwnerError.run("the deployment's model takes rows of features, not tokens")
    }
    return TextMasker(
      embedding: embedding, keys: keys,
      noise: InputNoise(shape.masking, master: secret(ofQuestion: draw), for: .prediction)?.ofTokens(sample: row),
      compute: compute)
  }
}
