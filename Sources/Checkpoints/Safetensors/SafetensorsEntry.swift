/// A tensor as a safetensors header describes it.
package struct SafetensorsEntry: Sendable, Equatable {
  package let name: String
  package let type: SafetensorsType
  package let shape: [Int]
  /// Bytes from the start of the data to the tensor's first byte.
  package let begin: Int
  /// Bytes from the start of the data to after the tensor's last byte.
  package let end: Int
}
