import Tensors

extension HuggingFaceDirectory {
  /// A hash over names, shapes and every number of the weights, 16 hexadecimal digits: whether this is still the checkpoint a run
  /// began with. Reads every tensor once, one at a time; no protection against anybody who means to deceive.
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
    let digits = String(hash.value(), radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
