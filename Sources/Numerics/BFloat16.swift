import CKernels

/// A number of 16 bits: the sign, the eight exponent bits and the first seven fraction bits of a `Float`, so that its range is a `Float`'s and its
/// precision 2⁻⁸ of a number.
///
/// It is kept, sent and multiplied, not calculated with: sums and functions are taken in `Float`, which holds every such number.
package struct BFloat16: TensorElement {
  /// The upper half of the number's bits as a `Float`.
  package let bitPattern: UInt16

  package static var elementType: ElementType { .bfloat16 }

  package init(bitPattern: UInt16) {
    self.bitPattern = bitPattern
  }

  /// The nearest number; of two as near the one with an even last bit. NaN becomes a quiet NaN of the same sign; what is above the largest number by
  /// half a unit or more becomes infinite.
  package init(_ number: Float) {
    self.init(bitPattern: ckernels_bfloat16_of(number))
  }

  package init(integerLiteral value: Float.IntegerLiteralType) {
    self.init(Float(value))
  }

  /// The number itself.
  package var widened: Float { Float(bitPattern: UInt32(bitPattern) << 16) }

  /// As numbers are equal: 0 and −0 are, NaN equals nothing.
  package static func == (left: BFloat16, right: BFloat16) -> Bool { left.widened == right.widened }

  /// `count` numbers rounded as by `init(_:)`. The memory must not overlap.
  package static func round(
    _ count: Int, _ numbers: UnsafePointer<Float>, into rounded: UnsafeMutablePointer<BFloat16>
  ) {
    ckernels_round_to_bfloat16(count, numbers, rounded.bits)
  }

  /// `count` numbers as they are. The memory must not overlap.
  package static func widen(
    _ count: Int, _ numbers: UnsafePointer<BFloat16>, into widened: UnsafeMutablePointer<Float>
  ) {
    ckernels_widen_bfloat16(count, numbers.bits, widened)
  }
}

/// A `BFloat16` is its bits and nothing else, so that its memory is that of them.
extension UnsafePointer<BFloat16> {
  var bits: UnsafePointer<UInt16> { UnsafeRawPointer(self).assumingMemoryBound(to: UInt16.self) }
}

extension UnsafeMutablePointer<BFloat16> {
  var bits: UnsafeMutablePointer<UInt16> { UnsafeMutableRawPointer(self).assumingMemoryBound(to: UInt16.self) }
}

extension Tensor where Element == Float {
  /// Every number rounded to the nearest that 16 bits hold (`BFloat16.init(_:)`).
  package var bfloat16: Tensor<BFloat16> {
    var result = Tensor<BFloat16>(uninitialized: shape)
    result.withUnsafeMutableBufferPointer { target in
      withUnsafeBufferPointer { source in
        guard let from = source.baseAddress, let to = target.baseAddress else { return }
        BFloat16.round(source.count, from, into: to)
      }
    }
    return result
  }
}

extension Tensor where Element == BFloat16 {
  /// The same numbers in single precision.
  package var widened: Tensor<Float> {
    var result = Tensor<Float>(uninitialized: shape)
    result.withUnsafeMutableBufferPointer { target in
      withUnsafeBufferPointer { source in
        guard let from = source.baseAddress, let to = target.baseAddress else { return }
        BFloat16.widen(source.count, from, into: to)
      }
    }
    return result
  }

  /// Whether no element is NaN or infinite.
  package var allFinite: Bool {
    withUnsafeBufferPointer { elements in
      elements.baseAddress.map { ckernels_all_finite_bfloat16(elements.count, $0.bits) } ?? true
    }
  }
}
