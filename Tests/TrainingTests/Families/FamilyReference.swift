import Datasets
import Families
import Files
import Foundation
import JobSpec
import Models
import Numerics
import TestSupport
import Testing

@testable import OwnerRole
@testable import Training

/// A small checkpoint, and what the transformers library computed of it in float64 (Fixtures/write_family_fixtures.py).
struct FamilyReference {
  struct Numbers: Decodable {
    let task: String
    let outputs: Int
    /// Rows of one width, padding at the end.
    let ids: [[Int32]]
    let mask: [[Int32]]
    /// One a sample or one a real token; negative: not counted.
    let labels: [Int32]
    let losses: [Double]
    let rate: Double
  }

  let name: String
  let numbers: Numbers
  let model: PretrainedModel
  let graph: ModelGraph
  private let tensors: SafetensorsFile

  init(_ name: String) throws {
    self.name = name
    let resources = try #require(Bundle.module.resourceURL?.appending(path: "Fixtures/families/\(name)"))
    let decoder = JSONDecoder()
    numbers = try decoder.decode(
      Numbers.self, from: Data(contentsOf: resources.appending(path: "reference.json")))
    tensors = try SafetensorsFile(path: resources.appending(path: "reference.safetensors").path)
    let task = try #require(LearningTask(rawValue: numbers.task))
    model = try PretrainedModel(
      HuggingFaceModel(directory: resources.path, pool: nil, classes: nil, train: .all), task: task)
    graph = try model.graph(
      outputs: numbers.outputs, maximumTokens: numbers.ids.first?.count ?? 0, recomputes: false, drawsPooler: false)
  }

  func tensor(_ name: String) throws -> [Double] { try tensors.tensor(name, as: Double.self).elements }

  /// Names of the parameters that have a gradient.
  var gradientNames: Set<String> {
    Set(tensors.names.filter { $0.hasPrefix("gradient/") }.map { String($0.dropFirst("gradient/".count)) })
  }

  /// The samples as a job reads them from a file.
  func samples(in directory: TemporaryDirectory) throws -> [[Token]] {
    let file = directory.url("tokens.h5")
    let writer = try HDF5Writer(path: file.path)
    for column in ["ids", "mask"] {
      try writer.createMatrix(column, columns: numbers.ids.first?.count ?? 0, of: Int32.self)
    }
    for (ids, mask) in zip(numbers.ids, numbers.mask) {
      try writer.append(ids, to: "ids")
      try writer.append(mask, to: "mask")
    }
    try writer.commit()
    let sizes = model.sizes
    let source = try HDF5File(path: file.path).openTokens(
      ids: "ids", mask: "mask", types: nil,
      limits: TokenLimits(
        vocabulary: sizes.vocabulary, types: sizes.tokenTypes, positions: sizes.positions,
        requiresTrailingPadding: true,
        uncountedToken: model.uncountedToken))
    let rows = try source.read(rows: 0..<source.rows)
    return (0..<source.rows).map { rows.tokens(ofRow: $0) }
  }

  func layout(_ samples: [[Token]]) -> SequenceLayout {
    var offsets = [0]
    for sample in samples { offsets.append(offsets[offsets.count - 1] + sample.count) }
    return switch model.pooling {
    case .cls: SequenceLayout(offsets: offsets, pooled: Array(offsets.dropLast()))
    case .last: SequenceLayout(offsets: offsets, pooled: offsets.dropFirst().map { $0 - 1 })
    case .mean, .none: SequenceLayout(offsets: offsets, pooled: [])
    }
  }
}
