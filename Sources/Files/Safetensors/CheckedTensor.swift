import Foundations
package import Numerics

/// A safetensors file of one tensor that tells by itself whether it is what was written, for state that nobody can make again.
///
/// The metadata have the key `xxh64`: 16 hexadecimal digits, of the tensor's name, shape and bytes and of the other metadata as a training checkpoint's.
/// A file without any metadata is of a version before. The hash finds damage; it does not protect against deliberate changes.
package enum CheckedTensor {
  /// - Parameters:
  ///   - tensor: of any shape.
  ///   - metadata: what else the file says of it; at least one key, and not `xxh64`.
  /// - Throws: as `SafetensorsFile.write`.
  package static func write(
    _ tensor: Tensor<Float>, named name: String, metadata: [String: String], to path: String
  ) throws(FileError) {
    var all = metadata
    all[CheckpointFormat.hashKey] = hash(of: tensor, named: name, metadata)
    try SafetensorsFile.write([SafetensorsTensor(name, tensor)], metadata: all, to: path)
  }

  /// - Returns: the tensor, and what the file says of it: nothing where it is of a version before, and not checked then.
  /// - Throws: `.file(.altered)` for another content than was written; `.safetensors`; `.system`.
  package static func read(
    _ name: String, from path: String
  ) throws(FileError) -> (tensor: Tensor<Float>, metadata: [String: String]) {
    let file = try SafetensorsFile(path: path)
    guard file.names == [name] else { throw .file(path: path, .altered) }
    let tensor: Tensor<Float> = try file.storedTensor(name)
    var metadata = file.header.metadata
    guard !metadata.isEmpty else { return (tensor, [:]) }
    let kept = metadata.removeValue(forKey: CheckpointFormat.hashKey)
    guard kept == hash(of: tensor, named: name, metadata) else { throw .file(path: path, .altered) }
    return (tensor, metadata)
  }

  private static func hash(of tensor: Tensor<Float>, named name: String, _ metadata: [String: String]) -> String {
    var hash = CheckpointHash()
    hash.begin(name, shape: tensor.shape)
    tensor.withUnsafeBufferPointer { hash.update(UnsafeRawBufferPointer($0)) }
    return hash.text(metadata)
  }
}
