import Foundation
import Testing

@testable import Privacy

@Suite struct FourierTransformTests {
  /// Numbers in −1 … 1 from a small congruential generator.
  private static func numbers(_ count: Int, seed: UInt64) -> [Double] {
    var state = seed
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Double(Int64(bitPattern: state) >> 11) / Double(1 << 52)
    }
  }

  private static func reversed(_ index: Int, bits: Int) -> Int {
    (0..<bits).reduce(0) { $0 | ((index >> $1) & 1) << (bits - 1 - $1) }
  }

  /// The naive sum, with angles reduced to one turn; its own rounding is n u at worst.
  @Test(arguments: [1, 2, 3, 6, 9]) func spectraAreTheNaiveSums(_ bits: Int) {
    let count = 1 << bits
    let (x, y) = (Self.numbers(count, seed: 1), Self.numbers(count, seed: 2))
    var (real, imaginary) = (x, y)
    FourierTransform(count: count).forward(&real, &imaginary)
    for k in 0..<count {
      var (sumReal, sumImaginary) = (0.0, 0.0)
      for j in 0..<count {
        let angle = -2 * Double.pi * Double(j * k % count) / Double(count)
        sumReal += x[j] * cos(angle) - y[j] * sin(angle)
        sumImaginary += x[j] * sin(angle) + y[j] * cos(angle)
      }
      let place = Self.reversed(k, bits: bits)
      #expect(abs(real[place] - sumReal) <= Double(count) * 4e-16 + 1e-15)
      #expect(abs(imaginary[place] - sumImaginary) <= Double(count) * 4e-16 + 1e-15)
      #expect(FourierTransform.opposite(place) == Self.reversed((count - k) % count, bits: bits))
    }
  }

  @Test(arguments: [2, 1024, 1 << 15]) func theInverseReturnsTheNumbers(_ count: Int) {
    let (x, y) = (Self.numbers(count, seed: 3), Self.numbers(count, seed: 4))
    var (real, imaginary) = (x, y)
    let transform = FourierTransform(count: count)
    transform.forward(&real, &imaginary)
    transform.inverse(&real, &imaginary)
    #expect(zip(real, x).allSatisfy { abs($0 - $1) < 1e-14 })
    #expect(zip(imaginary, y).allSatisfy { abs($0 - $1) < 1e-14 })
  }

  /// A product of spectra is a circular convolution.
  @Test func productsAreConvolutions() {
    let count = 64
    let (x, y) = (Self.numbers(count, seed: 5), Self.numbers(count, seed: 6))
    let zeros = [Double](repeating: 0, count: count)
    let transform = FourierTransform(count: count)
    var (xr, xi, yr, yi) = (x, zeros, y, zeros)
    transform.forward(&xr, &xi)
    transform.forward(&yr, &yi)
    for k in 0..<count {
      let product = Complex(xr[k], xi[k]) * Complex(yr[k], yi[k])
      (xr[k], xi[k]) = (product.real, product.imaginary)
    }
    transform.inverse(&xr, &xi)
    for s in 0..<count {
      let expected = (0..<count).reduce(0.0) { $0 + x[$1] * y[(s - $1 + count) % count] }
      #expect(abs(xr[s] - expected) < 1e-13)
      #expect(abs(xi[s]) < 1e-13)
    }
  }

  @Test func powersAreRepeatedProducts() {
    let base = Complex(0.8, -0.55)
    var product = Complex(1, 0)
    for exponent in 0...40 {
      let power = base.power(exponent)
      #expect(abs(power.real - product.real) < 1e-14 && abs(power.imaginary - product.imaginary) < 1e-14)
      product = product * base
    }
    #expect(Complex(0.5, 0.1).power(1_000_000_000_000) == Complex(0, 0))
    #expect(Complex(0, 0).power(3) == Complex(0, 0))
    #expect(Complex(1, 0).power(1_000_000_000_000) == Complex(1, 0))
  }
}
