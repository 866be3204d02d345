import Testing

@testable import Numerics

@Suite struct BFloat16Tests {
  /// By the definition, without bit tricks: of the two neighbours among numbers of 8 significant bits the nearer, or the even one.
  private func nearest(_ x: Float) -> Float {
    guard x.isFinite, x != 0 else { return x }
    // 2⁻¹³³ is the smallest bfloat16 number above 0, 2¹²⁰ the last unit of the largest.
    let exponent = max(Int(x.exponent) - 7, -133)
    let unit = Double(sign: .plus, exponent: exponent, significand: 1)
    let rounded = (Double(x) / unit).rounded(.toNearestOrEven) * unit
    // Beyond the largest by half a unit or more the next number would be 2¹²⁸.
    return abs(rounded) >= 0x1p128 ? Float(sign: x.sign, exponent: 0, significand: .infinity) : Float(rounded)
  }

  @Test func handWorkedNumbers() {
    let expectations: [(UInt32, UInt16)] = [
      (0x3F80_0000, 0x3F80),  // 1
      (0x3F80_8000, 0x3F80),  // halfway between 1 and its upper neighbour: to the even one, below
      (0x3F81_8000, 0x3F82),  // halfway, to the even one, above
      (0x3F80_8001, 0x3F81),  // just above halfway
      (0xBF80_7FFF, 0xBF80),  // just below halfway, negative
      (0x7F7F_7FFF, 0x7F7F),  // just below half a unit above the largest
      (0x7F7F_8000, 0x7F80),  // half a unit above the largest: infinite
      (0xFF80_0000, 0xFF80),  // −∞
      (0x0000_8000, 0x0000),  // half the smallest number: even
      (0x0000_8001, 0x0001), (0x8000_0000, 0x8000),
      (0x7F80_0001, 0x7FC0),  // a signalling NaN whose payload is in the lower half
      (0xFFA5_1234, 0xFFE5),  // NaN keeps its sign and upper payload, and is quiet
    ]
    for (bits, expected) in expectations {
      #expect(BFloat16(Float(bitPattern: bits)).bitPattern == expected)
    }
    #expect(BFloat16(bitPattern: 0x3F81).widened == 1 + 0x1p-7)
    #expect((3 as BFloat16).widened == 3)
    #expect(BFloat16(bitPattern: 0x8000) == 0 && BFloat16(.nan) != BFloat16(.nan))
  }

  /// One conversion and that of arrays, over bits of every exponent and kind.
  @Test func roundingIsToTheNearest() {
    let bits = (0..<300_000).map { UInt32(truncatingIfNeeded: $0 &* 14_321 &+ ($0 % 3 == 0 ? 0x8000 : 0)) }
    let numbers = bits.map { Float(bitPattern: $0) }
    let rounded = Tensor(numbers, shape: [numbers.count]).bfloat16
    let wrong = numbers.indices.filter { index in
      let (x, y) = (numbers[index], rounded[index])
      guard y.bitPattern == BFloat16(x).bitPattern else { return true }
      return x.isNaN
        ? !y.widened.isNaN || y.widened.sign != x.sign : y.widened.bitPattern != nearest(x).bitPattern
    }
    #expect(wrong.isEmpty, "first at \(wrong.first.map { String(bits[$0], radix: 16) } ?? "")")
  }

  @Test func everyNumberComesBack() {
    let all = Tensor((0...UInt16.max).map(BFloat16.init(bitPattern:)), shape: [256, 256])
    let widened = all.widened
    #expect(widened.shape == [256, 256])
    let again = widened.bfloat16
    let wrong = (0..<all.count).filter { index in
      let expected = all[index].bitPattern
      let isNaN = expected & 0x7F80 == 0x7F80 && expected & 0x7F != 0
      return widened[index].bitPattern != UInt32(expected) << 16
        || again[index].bitPattern != (isNaN ? expected | 0x40 : expected)
    }
    #expect(wrong.isEmpty)
  }

  /// Lengths around those of vectors; the last number is seen.
  @Test(arguments: [0, 1, 15, 16, 17, 33, 4096, 4097, 10_000]) func finiteOnesAreTold(_ count: Int) {
    var tensor = Tensor<BFloat16>(repeating: BFloat16(bitPattern: 0x7F7F), shape: [count])
    #expect(tensor.allFinite && tensor.byteCount == 2 * count)
    guard count > 0 else { return }
    tensor[count - 1] = BFloat16(-.infinity)
    #expect(!tensor.allFinite)
    tensor[count - 1] = BFloat16(bitPattern: 0x7F81)
    #expect(!tensor.allFinite)
  }
}
