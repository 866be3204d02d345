/// The number formats tensors are stored and sent in; raw values are the wire and file codes, never renumbered.
package enum ElementType: UInt8, Sendable, CaseIterable {
  case float32 = 1
  case float64 = 2
  case int32 = 3
  case int64 = 4
  case uint8 = 5

  /// Bytes an element takes.
  package var byteCount: Int {
    switch self {
    case .float32, .int32: 4
    case .float64, .int64: 8
    case .uint8: 1
    }
  }
}
