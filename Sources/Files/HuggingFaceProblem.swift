import Foundations

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
  /// The weights are pickles of this directory, which may hold code and are never read.
  case pickledWeights(directory: String)
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
    case .pickledWeights(let directory):
      "its weights are a pytorch_model.bin, which can hold code and is not read; "
        + "`encryptor convert \(directory.printable(limit: 400)) --out DIR` makes safetensors of it without executing any"
    case .notAnIndex: "it has no `weight_map` from the names of tensors to the names of files"
    case .tooManyShards(let limit): "it names more than \(limit) files"
    case .shardName(let name):
      "`\(name)` is not the name of a .safetensors file in the same directory"
    case .notInShard(let tensor, let shard): "`\(tensor)` should be in \(shard) and is not there"
    case .notInIndex(let tensor, let shard): "\(shard) holds `\(tensor)`, which is not in the index"
    case .spelledTwice(let name): "the weights hold `\(name)` under two names"
    case .missingTensor(let name): "the weights have no `\(name)`"
    case .unexpectedTensor(let name): "the weights hold `\(name)`, which config.json does not describe"
    case .shape(let name, let expected, let found):
      "`\(name)` has the shape \(found); config.json makes it \(expected)"
    case .notFloating(let name, let stored): "`\(name)` holds \(stored); weights are F64, F32, F16 or BF16"
    }
  }
}
