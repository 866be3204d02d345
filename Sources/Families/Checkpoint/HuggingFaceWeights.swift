import Files
import Foundations

/// Where each tensor of a model lies: one safetensors file, or several with an index. Headers are read, no tensor is.
struct HuggingFaceWeights: Sendable {
  private static let singleName = "model.safetensors"
  private static let indexName = "model.safetensors.index.json"
  private static let pickles = ["pytorch_model.bin", "pytorch_model.bin.index.json"]

  /// By canonical name.
  private let places: [String: StoredPlace]
  /// Paths of the files that were read: the index, where there is one, and those that hold tensors, sorted.
  let files: [String]

  /// - Parameter canonicalName: of a stored name.
  /// - Throws: `.huggingFace`, `.safetensors`, `.system`.
  init(directory: String, canonicalName: (String) -> String) throws(FileError) {
    let single = directory + "/" + Self.singleName
    let index = directory + "/" + Self.indexName
    if RegularFile.exists(single) {
      let file = try SafetensorsFile(path: single)
      places = try Self.canonical(file.names.map { StoredPlace(file: file, name: $0) }, canonicalName, path: single)
      files = [single]
    } else if RegularFile.exists(index) {
      places = try Self.canonical(ShardIndex(path: index).places(), canonicalName, path: index)
      files = [index] + Set(places.values.map(\.file.path)).sorted()
    } else if Self.pickles.contains(where: { RegularFile.exists(directory + "/" + $0) }) {
      throw .huggingFace(path: directory, .pickledWeights(directory: directory))
    } else {
      throw .huggingFace(path: directory, .noWeights)
    }
  }

  /// Canonical names, sorted.
  var names: [String] { places.keys.sorted() }

  subscript(name: String) -> StoredPlace? { places[name] }

  private static func canonical(
    _ places: [StoredPlace], _ canonicalName: (String) -> String, path: String
  ) throws(FileError) -> [String: StoredPlace] {
    var result: [String: StoredPlace] = [:]
    for place in places {
      let name = canonicalName(place.name)
      guard result.updateValue(place, forKey: name) == nil else {
        throw .huggingFace(path: path, .spelledTwice(name.printable(limit: 80)))
      }
    }
    return result
  }
}

/// A tensor in a file, under the name it has there.
struct StoredPlace: Sendable {
  let file: SafetensorsFile
  let name: String

  var entry: SafetensorsEntry? { file.entry(name) }
}

/// A model.safetensors.index.json: which of several files holds which tensor.
struct ShardIndex {
  private static let largestFile = 64 << 20
  private static let maxShards = 4096

  private let path: String
  /// Names of tensors by the name of their file.
  private let shards: [String: Set<String>]

  init(path: String) throws(FileError) {
    self.path = path
    let bytes = try RegularFile.read(path, limit: Self.largestFile)
    do throws(HuggingFaceProblem) {
      guard let bytes else { throw .tooLarge(limit: Self.largestFile) }
      shards = try Self.shards(bytes)
    } catch {
      throw .huggingFace(path: path, error)
    }
  }

  private static func shards(_ bytes: [UInt8]) throws(HuggingFaceProblem) -> [String: Set<String>] {
    guard case .object(let members) = try JSONValue.parse(bytes, throwing: HuggingFaceProblem.self),
      case .object(let map)? = members["weight_map"]
    else {
      throw .notAnIndex
    }
    var shards: [String: Set<String>] = [:]
    for (tensor, value) in map {
      guard case .string(let shard) = value else { throw .notAnIndex }
      shards[shard, default: []].insert(tensor)
    }
    guard !shards.isEmpty else { throw .notAnIndex }
    guard shards.count <= maxShards else { throw .tooManyShards(limit: maxShards) }
    for shard in shards.keys.sorted() where !isPlainName(shard) { throw .shardName(shard.printable(limit: 80)) }
    return shards
  }

  /// A file in the same directory: no path, and no name that another program may have given something else.
  private static func isPlainName(_ name: String) -> Bool {
    name.hasSuffix(".safetensors") && !name.hasPrefix(".") && !name.utf8.contains(UInt8(ascii: "/"))
      && name.utf8.count <= 255 && !name.unicodeScalars.contains { $0.value < 0x20 }
  }

  /// Opens the files; each must hold exactly the tensors that the index says.
  func places() throws(FileError) -> [StoredPlace] {
    var places: [StoredPlace] = []
    for (shard, tensors) in shards.sorted(by: { $0.key < $1.key }) {
      let file = try SafetensorsFile(path: Directory.containing(path) + "/" + shard)
      let stored = Set(file.names)
      if let missing = tensors.subtracting(stored).min() {
        throw .huggingFace(path: path, .notInShard(tensor: missing.printable(limit: 80), shard: shard))
      }
      if let other = stored.subtracting(tensors).min() {
        throw .huggingFace(path: path, .notInIndex(tensor: other.printable(limit: 80), shard: shard))
      }
      places += file.names.map { StoredPlace(file: file, name: $0) }
    }
    return places
  }
}
