package import Families
import Files
import Foundation
import Masking
package import Numerics

/// What a client computes itself, before anything is masked: statistics of the features, or the table of token vectors. No other weight of the
/// model is in it.
package struct ClientMaterial<Element: FloatingElement>: Sendable {
  package let shape: QuestionShape
  package let standardization: Standardization?
  package let embedding: TokenEmbedding<Element>?

  package init(shape: QuestionShape, standardization: Standardization?, embedding: TokenEmbedding<Element>?) {
    self.shape = shape
    self.standardization = standardization
    self.embedding = embedding
  }
}

/// `embedding.safetensors`: `words` [vocabulary, d], and where the family has them `positions`, `types`, `norm.gain` and `norm.shift`,
/// `projection.weight` and `projection.bias`. The tables, and the norm, are as wide as the projection's inputs.
enum EmbeddingFile {
  static func write<Element: FloatingElement>(_ embedding: TokenEmbedding<Element>, to file: URL) throws {
    var tensors = [SafetensorsTensor("words", embedding.words)]
    if let positions = embedding.positions { tensors.append(SafetensorsTensor("positions", positions)) }
    if let types = embedding.types { tensors.append(SafetensorsTensor("types", types)) }
    if let norm = embedding.norm {
      tensors += [SafetensorsTensor("norm.gain", norm.gain), SafetensorsTensor("norm.shift", norm.shift)]
    }
    if let projection = embedding.projection {
      tensors += [
        SafetensorsTensor("projection.weight", projection.weight),
        SafetensorsTensor("projection.bias", projection.bias),
      ]
    }
    try SafetensorsFile.write(tensors, to: file.path)
  }

  /// - Throws: `OwnerError.run` for tables of other sizes than `shape` says; `FileError`.
  static func read<Element: FloatingElement>(_ file: URL, _ shape: QuestionShape) throws -> TokenEmbedding<Element>? {
    guard let tokens = shape.tokens else { return nil }
    let stored = try SafetensorsFile(path: file.path)
    let vectorWidth = shape.input.width
    let projectionShape = stored.entry("projection.weight")?.shape
    let width = projectionShape?.last ?? vectorWidth
    func table(_ name: String, _ shape: [Int]) throws -> Tensor<Element> {
      if let entry = stored.entry(name), entry.shape != shape {
        throw OwnerError.run(
          "\(file.path): `\(name)` has the shape \(entry.shape) where \(shape) is due; it is damaged")
      }
      return try stored.tensor(name)
    }
    let projection = try projectionShape.map { _ in
      TokenEmbedding<Element>.Projection(
        weight: try table("projection.weight", [vectorWidth, width]), bias: try table("projection.bias", [vectorWidth]))
    }
    let norm = try tokens.normEpsilon.map { epsilon in
      TokenEmbedding<Element>.Norm(
        gain: try table("norm.gain", [width]), shift: try table("norm.shift", [width]), epsilon: epsilon)
    }
    return TokenEmbedding(
      words: try table("words", [tokens.vocabulary, width]),
      positions: stored.entry("positions") == nil ? nil : try table("positions", [tokens.positionRows, width]),
      types: tokens.types == 0 ? nil : try table("types", [tokens.types, width]), norm: norm, projection: projection)
  }
}
