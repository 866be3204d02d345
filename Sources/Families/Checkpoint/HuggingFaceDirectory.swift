package import Files
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

  package let path: String
  package let configuration: HuggingFaceConfiguration
  private let weights: HuggingFaceWeights
  /// The tensors that lie in others or are transposed, by name.
  private let parts: [String: FamilyTensor]
  private let languageModelHead: String?

  /// - Throws: `.huggingFace` naming the setting or the file that is wrong, `.safetensors`, `.system`.
  package init(_ path: String, families: [any ModelFamily.Type] = ModelFamilies.all) throws(FileError) {
    self.path = path
    let file = path + "/config.json"
    let bytes = try RegularFile.read(file, limit: Self.largestConfiguration)
    do throws(HuggingFaceProblem) {
      guard let bytes else { throw .tooLarge(limit: Self.largestConfiguration) }
      configuration = try HuggingFaceConfiguration.parse(bytes, families: families)
    } catch {
      throw .huggingFace(path: file, error)
    }
    let family = configuration.family
    weights = try HuggingFaceWeights(directory: path, canonicalName: type(of: family).canonicalName)
    languageModelHead = family.languageModelHead
    parts = Dictionary(family.tensors.filter { $0.place != nil }.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
  }

  /// Paths of all files that this was read from, config.json first.
  package var files: [String] { [path + "/config.json"] + weights.files }

  /// The canonical names of all stored tensors, sorted.
  package var names: [String] { weights.names }

  package func contains(_ name: String) -> Bool { place(name) != nil }

  package func shape(of name: String) -> [Int]? { parts[name]?.shape ?? place(name)?.entry?.shape }

  func isFloating(_ name: String) -> Bool { place(name)?.entry?.type.isFloating ?? false }

  /// A tensor of any floating type; F16 and BF16 are widened exactly.
  ///
  /// - Throws: `.huggingFace` with `missingTensor` or `notFloating`; `.safetensors`, `.system` when it cannot be read.
  package func tensor<Element: TensorElement & BinaryFloatingPoint>(
    named name: String, as type: Element.Type = Element.self
  ) throws(FileError) -> Tensor<Element> {
    let place = try required(name)
    let stored: Tensor<Element> = try place.file.tensor(place.name, as: type)
    guard let part = parts[name] else { return stored }
    return try part.cut(from: stored, of: path)
  }

  /// A tensor to be written elsewhere as F32; it is read when its turn to be written comes.
  ///
  /// - Throws: as `tensor`, now or when it is written.
  package func copy(of name: String) throws(FileError) -> SafetensorsTensor {
    let place = try required(name)
    return SafetensorsTensor(name: name, type: .float32, shape: parts[name]?.shape ?? place.entry?.shape ?? []) {
      (writer) throws(FileError) in
      let tensor: Tensor<Float> = try self.tensor(named: name)
      try tensor.withUnsafeBufferPointer { (buffer) throws(FileError) in
        try writer.write(UnsafeRawBufferPointer(buffer))
      }
    }
  }

  /// Checks names, shapes and types without reading a tensor.
  ///
  /// - Parameter expected: everything that will be read, as it is stored. Other tensors are refused, except heads for other tasks and tables that
  ///   follow from the sizes.
  /// - Throws: `.huggingFace` with `missingTensor`, `shape`, `notFloating` or `unexpectedTensor`.
  package func check(expected: [TensorDescription]) throws(FileError) {
    for description in expected {
      let found = try required(description.name).entry?.shape ?? []
      guard found == description.shape else {
        throw .huggingFace(
          path: path, .shape(name: description.name, expected: description.shape, found: found))
      }
    }
    let known = Set(expected.map(\.name))
    let family = type(of: configuration.family)
    if let other = weights.names.first(where: { !known.contains($0) && !family.isIgnorable($0) }) {
      throw .huggingFace(path: path, .unexpectedTensor(other.printable(limit: 80)))
    }
  }

  /// With tied embeddings the head is the word embedding, also where the file holds a head.
  private func place(_ name: String) -> StoredPlace? {
    let family = configuration.family
    guard name == languageModelHead, family.sizes.tiesWordEmbeddings else {
      return weights[parts[name]?.storedName ?? name]
    }
    return weights[type(of: family).wordEmbeddings]
  }

  private func required(_ name: String) throws(FileError) -> StoredPlace {
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
  /// Ids that end a text: `eos_token_id` of generation_config.json, or else of config.json; empty where neither names any.
  ///
  /// - Throws: `.huggingFace` for one that is no token id; `.system`.
  package func endTokens() throws(FileError) -> [Int] {
    let file = path + "/generation_config.json"
    var settings = configuration.document
    if RegularFile.exists(file), let bytes = try RegularFile.read(file, limit: Self.largestConfiguration) {
      do throws(HuggingFaceProblem) {
        guard case .object(let members) = try JSONValue.parse(bytes, throwing: HuggingFaceProblem.self) else {
          throw .notAnObject
        }
        if let value = members["eos_token_id"], value != .null { settings = members }
      } catch {
        throw .huggingFace(path: file, error)
      }
    }
    let named: [JSONValue] =
      switch settings["eos_token_id"] {
      case nil, .null: []
      case .array(let list): list
      case let single?: [single]
      }
    var ids: [Int] = []
    for value in named {
      guard case .number(let text) = value, let id = Int(text), (0..<configuration.sizes.vocabulary).contains(id) else {
        throw .huggingFace(path: path, .setting("eos_token_id", expected: "token ids below `vocab_size`"))
      }
      ids.append(id)
    }
    return ids
  }

  /// A hash over names, shapes and every number of the weights, 16 hexadecimal digits: whether this is still the checkpoint a run
  /// began with. Reads every tensor once, one at a time; no protection against deliberate changes.
  ///
  /// - Throws: as `tensor`. Tensors of integers are left out.
  package func fingerprint() throws(FileError) -> String {
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
