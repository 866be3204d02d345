package import Tensors

/// A tensor to be written: what the header says of it, and its bytes when their turn comes.
package struct SafetensorsTensor: Sendable {
  package let name: String
  package let type: SafetensorsType
  package let shape: [Int]
  let write: @Sendable (AtomicFileWriter) throws(CheckpointError) -> Void

  package init<Element>(_ name: String, _ tensor: Tensor<Element>) {
    self.init(name: name, type: SafetensorsType(Element.elementType), shape: tensor.shape) {
      (writer) throws(CheckpointError) in
      try tensor.withUnsafeBufferPointer { (buffer) throws(CheckpointError) in
        try writer.write(UnsafeRawBufferPointer(buffer))
      }
    }
  }

  /// For a tensor that is made while it is written.
  ///
  /// - Parameter write: writes the elements in row-major order, little-endian, as many as `shape` has.
  package init(
    name: String, type: SafetensorsType, shape: [Int],
    write: @escaping @Sendable (AtomicFileWriter) throws(CheckpointError) -> Void
  ) {
    self.name = name
    self.type = type
    self.shape = shape
    self.write = write
  }

  /// The same tensor under another name.
  func named(_ name: String) -> SafetensorsTensor {
    SafetensorsTensor(name: name, type: type, shape: shape, write: write)
  }
}
