package import Tensors

/// The number formats of safetensors files that are read; `Tensor` has no 16-bit element, so that F16 and BF16 are
/// widened on the way in and never written.
package enum SafetensorsType: String, Sendable, CaseIterable {
  case float64 = "F64"
  case float32 = "F32"
  case float16 = "F16"
  case bfloat16 = "BF16"
  case int64 = "I64"
  case int32 = "I32"
  case uint8 = "U8"

  package init(_ type: ElementType) {
    self =
      switch type {
      case .float32: .float32
      case .float64: .float64
      case .int32: .int32
      case .int64: .int64
      case .uint8: .uint8
      }
  }

  /// Bytes an element takes.
  package var byteCount: Int {
    switch self {
    case .float64, .int64: 8
    case .float32, .int32: 4
    case .float16, .bfloat16: 2
    case .uint8: 1
    }
  }

  var isFloating: Bool {
    switch self {
    case .float64, .float32, .float16, .bfloat16: true
    case .int64, .int32, .uint8: false
    }
  }

  /// Bytes of a tensor of `shape`; nil when a dimension is negative or the product overflows, also of an empty tensor's
  /// other dimensions, whose product `Tensor.columns` takes.
  func byteCount(of shape: [Int]) -> Int? {
    guard let count = Shape.elementCount(shape), Shape.elementCount(shape.map { max($0, 1) }) != nil else { return nil }
    let (bytes, overflow) = count.multipliedReportingOverflow(by: byteCount)
    return overflow ? nil : bytes
  }
}
