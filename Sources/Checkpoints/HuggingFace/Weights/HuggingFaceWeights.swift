import Failures
import Architecture

/// Where each tensor of a model lies: one safetensors file, or several with an index. Headers are read, no tensor is.
struct HuggingFaceWeights: Sendable {
  private static let singleName = "model.safetensors"
  private static let indexName = "model.safetensors.index.json"

  /// By canonical name.
  private let places: [String: StoredPlace]
  /// Paths of the files that were read: the index, where there is one, and those that hold tensors, sorted.
  let files: [String]

  /// - Throws: `.huggingFace`, `.safetensors`, `.system`.
  init(directory: String, names: HuggingFaceNames) throws(CheckpointError) {
    let single = directory + "/" + Self.singleName
    let index = directory + "/" + Self.indexName
    if RegularFile.exists(single) {
      let file = try SafetensorsFile(path: single)
      places = try Self.canonical(file.names.map { StoredPlace(file: file, name: $0) }, names, path: single)
      files = [single]
    } else if RegularFile.exists(index) {
      places = try Self.canonical(ShardIndex(path: index).places(), names, path: index)
      files = [index] + Set(places.values.map(\.file.path)).sorted()
    } else {
      throw .huggingFace(path: directory, .noWeights)
    }
  }

  /// Canonical names, sorted.
  var names: [String] { places.keys.sorted() }

  subscript(name: String) -> StoredPlace? { places[name] }

  private static func canonical(
    _ places: [StoredPlace], _ names: HuggingFaceNames, path: String
  ) throws(CheckpointError) -> [String: StoredPlace] {
    var result: [String: StoredPlace] = [:]
    for place in places {
      let name = names.canonical(place.name)
      guard result.updateValue(place, forKey: name) == nil else {
        throw .huggingFace(path: path, .spelledTwice(name.printable(limit: 80)))
      }
    }
    return result
  }
}
