import Models
import Foundations

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

/// How the tensors of a family are called in its files, which differ by the class that saved them and by its age.
struct HuggingFaceNames {
  let family: TransformerFamily

  /// The name that the family's classes with a head use: the base model alone leaves out `bert.` or `model.`, and models from
  /// TensorFlow call a norm's gain and shift gamma and beta.
  func canonical(_ stored: String) -> String {
    switch family {
    case .bert:
      var name = stored
      if ["embeddings.", "encoder.", "pooler."].contains(where: name.hasPrefix) { name = "bert." + name }
      for (old, new) in [("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")]
      where name.hasSuffix(old) {
        name = String(name.dropLast(old.count)) + new
      }
      return name
    case .llama:
      return ["layers.", "embed_tokens.", "norm."].contains(where: stored.hasPrefix) ? "model." + stored : stored
    }
  }

  /// Whether a tensor that nobody asked for may be passed over: heads for other tasks, and tables that follow from the sizes.
  func isIgnorable(_ name: String) -> Bool {
    switch family {
    case .bert:
      return name == "bert.embeddings.position_ids"
        || ["cls.", "bert.pooler.", "classifier.", "qa_outputs."].contains(where: name.hasPrefix)
    case .llama:
      return name.hasSuffix(".rotary_emb.inv_freq")
        || ["lm_head.", "score.", "qa_outputs."].contains(where: name.hasPrefix)
    }
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

  init(path: String) throws(CheckpointError) {
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
  func places() throws(CheckpointError) -> [StoredPlace] {
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
