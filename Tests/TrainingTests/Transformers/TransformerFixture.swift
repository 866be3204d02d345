import Models
import Foundation
import Numerics
import Testing

@testable import Training

/// What Hugging Face's models computed in float64 (Fixtures/write_transformer_fixtures.py).
struct TransformerFixture: Sendable {
  struct Formula: Decodable, Sendable {
    let seed: UInt64
    let offset: Double
    let scale: Double
  }

  struct Case: Decodable, Sendable, CustomStringConvertible {
    let name: String
    let lengths: [Int]
    /// One a sample or one a token; negative: not counted.
    let labels: [Int]
    let losses: [Double]
    let rate: Double
    let weights: [String: Formula]

    var description: String { name }

    /// In the order of `structure.parameters`.
    func parameters(_ structure: ModelStructure) throws -> [[Double]] {
      try structure.parameters.map { parameter in
        let formula = try #require(weights[parameter.name], "\(parameter.name)")
        return LayerHarness.noise(parameter.shape.reduce(1, *), seed: formula.seed).map {
          formula.offset + formula.scale * $0
        }
      }
    }

    /// Each sample's first token pooled, or its last.
    func layout(_ pooling: TokenPooling) -> SequenceLayout {
      var offsets = [0]
      for length in lengths { offsets.append(offsets[offsets.count - 1] + length) }
      switch pooling {
      case .cls: return SequenceLayout(offsets: offsets, pooled: Array(offsets.dropLast()))
      case .last: return SequenceLayout(offsets: offsets, pooled: offsets.dropFirst().map { $0 - 1 })
      case .mean, .none: return SequenceLayout(offsets: offsets, pooled: [])
      }
    }
  }

  let cases: [Case]
  private let tensors: [String: [Double]]

  /// Reads the two files; of safetensors only what its writer makes of float64 tensors.
  init() throws {
    cases = try Fixture.read("transformers", as: [Case].self)
    struct Entry: Decodable {
      let offsets: [Int]

      enum CodingKeys: String, CodingKey {
        case offsets = "data_offsets"
      }
    }
    let url = try #require(
      Bundle.module.url(forResource: "transformers", withExtension: "safetensors", subdirectory: "Fixtures"))
    let file = try Data(contentsOf: url)
    let headerBytes = file.prefix(8).enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
    let header = try JSONDecoder().decode([String: Entry].self, from: file.dropFirst(8).prefix(headerBytes))
    tensors = header.mapValues { entry in
      file[(8 + headerBytes + entry.offsets[0])..<(8 + headerBytes + entry.offsets[1])].withUnsafeBytes {
        bytes in (0..<bytes.count / 8).map { bytes.loadUnaligned(fromByteOffset: 8 * $0, as: Double.self) }
      }
    }
  }

  static let read = Result { try TransformerFixture() }

  func tensor(_ name: String, of wanted: Case) throws -> [Double] {
    try #require(tensors["\(wanted.name)/\(name)"], "\(name)")
  }

  /// Names of the gradients there are.
  func gradientNames(of wanted: Case) -> Set<String> {
    Set(
      tensors.keys.filter { $0.hasPrefix("\(wanted.name)/") }.map { String($0.dropFirst(wanted.name.count + 1)) }
    ).subtracting(["inputs", "logits"])
  }
}
