import Foundations
package import Numerics

/// A directory with a pretrained model as the Hugging Face libraries write it: config.json, and the weights in
/// model.safetensors or in several files with model.safetensors.index.json.
///
/// Opening one reads the configuration and the headers of the weights. Tensors are read one at a time, each as often as it is
/// asked for, and are known by the names that the family's classes with a head have: `bert.encoder.layer.0…`,
/// `model.layers.0…`, whatever the file calls them.
package struct HuggingFaceDirectory: Sendable {
  private static let largestConfiguration = 16 << 20
  private static let languageModelHead = "lm_head.weight"

  package let path: String
  package let configuration: HuggingFaceConfiguration
  private let weights: HuggingFaceWeights

  /// - Throws: `.huggingFace` naming the setting or the file that is wrong, `.safetensors`, `.system`.
  package init(_ path: String) throws(CheckpointError) {
    self.path = path
    let file = path + "/config.json"
    let bytes = try RegularFile.read(file, limit: Self.largestConfiguration)
    do throws(HuggingFaceProblem) {
      guard let bytes else { throw .tooLarge(limit: Self.largestConfiguration) }
      configuration = try HuggingFaceConfiguration.parse(bytes)
    } catch {
      throw .huggingFace(path: file, error)
    }
    weights = try HuggingFaceWeights(directory: path, names: HuggingFaceNames(family: configuration.family))
  }

  /// Paths of all files that this was read from, config.json first.
  package var files: [String] { [path + "/config.json"] + weights.files }

  /// The names of all tensors, sorted.
  package var names: [String] { weights.names }

  package func contains(_ name: String) -> Bool { place(name) != nil }

  package func shape(of name: String) -> [Int]? { place(name)?.entry?.shape }

  func isFloating(_ name: String) -> Bool { place(name)?.entry?.type.isFloating ?? false }

  /// A tensor of any floating type; F16 and BF16 are widened exactly.
  ///
  /// - Throws: `.huggingFace` with `missingTensor` or `notFloating`; `.safetensors`, `.system` when it cannot be read.
  package func tensor<Element: TensorElement & BinaryFloatingPoint>(
    named name: String, as type: Element.Type = Element.self
  ) throws(CheckpointError) -> Tensor<Element> {
    let place = try required(name)
    return try place.file.tensor(place.name, as: type)
  }

  /// A tensor to be written elsewhere as F32; it is read when its turn to be written comes.
  ///
  /// - Throws: as `tensor`, now or when it is written.
  package func copy(of name: String) throws(CheckpointError) -> SafetensorsTensor {
    let place = try required(name)
    return SafetensorsTensor(name: name, type: .float32, shape: place.entry?.shape ?? []) {
      (writer) throws(CheckpointError) in
      let tensor: Tensor<Float> = try place.file.tensor(place.name)
      try tensor.withUnsafeBufferPointer { (buffer) throws(CheckpointError) in
        try writer.write(UnsafeRawBufferPointer(buffer))
      }
    }
  }

  /// Checks names, shapes and types without reading a tensor.
  ///
  /// - Parameter expected: everything that will be read. Other tensors are refused, except heads for other tasks and tables that
  ///   follow from the sizes.
  /// - Throws: `.huggingFace` with `missingTensor`, `shape`, `notFloating` or `unexpectedTensor`.
  package func check(expected: [TensorDescription]) throws(CheckpointError) {
    for description in expected {
      let found = try required(description.name).entry?.shape ?? []
      guard found == description.shape else {
        throw .huggingFace(
          path: path, .shape(name: description.name, expected: description.shape, found: found))
      }
    }
    let known = Set(expected.map(\.name))
    let names = HuggingFaceNames(family: configuration.family)
    if let other = weights.names.first(where: { !known.contains($0) && !names.isIgnorable($0) }) {
      throw .huggingFace(path: path, .unexpectedTensor(other.printable(limit: 80)))
    }
  }

  /// With tied embeddings the head is the word embedding, also where the file holds a head.
  private func place(_ name: String) -> StoredPlace? {
    guard name == Self.languageModelHead, configuration.tiesWordEmbeddings else { return weights[name] }
    return weights[configuration.wordEmbeddings]
  }

  private func required(_ name: String) throws(CheckpointError) -> StoredPlace {
    guard let place = place(name), let entry = place.entry else {
      throw .huggingFace(path: path, .missingTensor(name))
    }
    guard entry.type.isFloating else {
      throw .huggingFace(path: path, .notFloating(name: name, stored: entry.type.rawValue))
    }
    return place
  }
}

extension HuggingFaceDirectory {
  /// A hash over names, shapes and every number of the weights, 16 hexadecimal digits: whether this is still the checkpoint a run
  /// began with. Reads every tensor once, one at a time; no protection against deliberate changes.
  ///
  /// - Throws: as `tensor`. Tensors of integers are left out.
  package func fingerprint() throws(CheckpointError) -> String {
    var hash = ContentHash()
    for name in names {
      guard isFloating(name) else { continue }
      let tensor: Tensor<Float> = try self.tensor(named: name)
      hash.update("\(name)\(tensor.shape)\n")
      tensor.withUnsafeBufferPointer { hash.update(UnsafeRawBufferPointer($0)) }
    }
    return hash.value().hexadecimal
  }
}

/// Why a directory is not a pretrained model that can be trained here. Names come from files and are cut to a printable length.
package enum HuggingFaceProblem: JSONFailure, Equatable, Sendable, CustomStringConvertible {
  case tooLarge(limit: Int)
  /// `offset` in bytes from the file's first.
  case json(String, offset: Int)
  case notAnObject
  case missingSetting(String)
  /// A setting of another type or outside its range; `expected` says what it must be.
  case setting(String, expected: String)
  /// A setting that asks for what is not supported here.
  case unsupportedSetting(String, found: String, supported: String)
  /// Neither one file of weights nor an index of several.
  case noWeights
  /// An index without a `weight_map` of names to names.
  case notAnIndex
  case tooManyShards(limit: Int)
  /// A shard that would lie elsewhere, or has another kind of name.
  case shardName(String)
  /// The index says that a shard holds a tensor, and it does not; or the other way round.
  case notInShard(tensor: String, shard: String)
  case notInIndex(tensor: String, shard: String)
  /// Two tensors of the file that are spellings of one name.
  case spelledTwice(String)
  case missingTensor(String)
  case unexpectedTensor(String)
  case shape(name: String, expected: [Int], found: [Int])
  case notFloating(name: String, stored: String)

  package var description: String {
    switch self {
    case .tooLarge(let limit): "it is larger than \(limit) bytes"
    case .json(let problem, let offset): "it is not valid JSON, at byte \(offset): \(problem)"
    case .notAnObject: "it is not a JSON object"
    case .missingSetting(let name): "`\(name)` is missing"
    case .setting(let name, let expected): "`\(name)` must be \(expected)"
    case .unsupportedSetting(let name, let found, let supported):
      "`\(name)`: \(found) is not supported; supported: \(supported)"
    case .noWeights:
      "there is neither model.safetensors nor model.safetensors.index.json; save the model with "
        + "`model.save_pretrained(DIRECTORY, safe_serialization=True)`"
    case .notAnIndex: "it has no `weight_map` from the names of tensors to the names of files"
    case .tooManyShards(let limit): "it names more than \(limit) files"
    case .shardName(let name):
      "`\(name)` is not the name of a .safetensors file in the same directory"
    case .notInShard(let tensor, let shard): "`\(tensor)` should be in \(shard) and is not there"
    case .notInIndex(let tensor, let shard): "\(shard) holds `\(tensor)`, which the index does not say"
    case .spelledTwice(let name): "the weights hold `\(name)` under two names"
    case .missingTensor(let name): "the weights have no `\(name)`"
    case .unexpectedTensor(let name): "the weights hold `\(name)`, which config.json does not describe"
    case .shape(let name, let expected, let found):
      "`\(name)` has the shape \(found); config.json makes it \(expected)"
    case .notFloating(let name, let stored): "`\(name)` holds \(stored); weights are F64, F32, F16 or BF16"
    }
  }
}
