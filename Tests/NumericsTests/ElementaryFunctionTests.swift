import CKernels
import Foundation
import Testing

/// The kernels' own elementary functions in single precision against libm in double.
@Suite struct ElementaryFunctionTests {
  typealias Kernel = (Int, UnsafePointer<Float>?, UnsafeMutablePointer<Float>?) -> Void

  /// The largest error over a grid of arguments, in units of the last place of the true value's single-precision format.
  private func largestError(
    _ kernel: Kernel, _ reference: (Double) -> Double, _ range: ClosedRange<Double>
  ) -> Double {
    let count = 100_003
    let arguments = (0..<count).map { index in
      Float(range.lowerBound + (range.upperBound - range.lowerBound) * Double(index) / Double(count - 1))
    }
    var results = Array(repeating: Float.nan, count: count)
    kernel(count, arguments, &results)
    return zip(arguments, results).map { argument, result in
      let expected = reference(Double(argument))
      return abs(Double(result) - expected) / Double(Float(expected).ulp)
    }.reduce(0) { $1 <= $0 ? $0 : $1 }
  }

  private func values(_ kernel: Kernel, _ arguments: [Float]) -> [Float] {
    var results = Array(repeating: Float(0), count: arguments.count)
    kernel(arguments.count, arguments, &results)
    return results
  }

  // Bounds: half a unit for the final rounding, and about half a unit for each rounded operation on the way that is not
  // damped. exp has 2 (the polynomial's last sum and the scaling), tanh 3, log(1 + u) 4.
  @Test func exponentialIsWithinTwoUnits() {
    #expect(largestError(ckernels_exp_float, exp, -87...88.7) < 2)
    // Results below the normal range lose bits with the format, not with the kernel: still the format's units.
    #expect(largestError(ckernels_exp_float, exp, -103 ... -87) < 2)
  }

  @Test func theExponentialOfAttentionIsWithinTwoUnitsAndNeverLeavesTheNormalNumbers() {
    #expect(largestError(ckernels_exp_of_weight_float, exp, -87...0.01) < 2)
    let small = values(ckernels_exp_of_weight_float, [-.infinity, -1000, -88, 0])
    #expect(small.allSatisfy { $0.isNormal && $0 <= 1 } && small[0] < 2e-38 && small[3] == 1)
  }

  @Test func hyperbolicTangentIsWithinTwoUnits() {
    #expect(largestError(ckernels_tanh_float, tanh, -10...10) < 2)
  }

  // Φ's tail is a product of an exponential, a polynomial of degree 10 and a reciprocal whose argument is rounded too:
  // 5 to 6 units where a formula by erf would lose all digits.
  @Test func normalDistributionIsWithinSixUnitsIntoItsTail() {
    #expect(largestError(ckernels_normal_distribution_float, { 0.5 * erfc(-$0 / 2.0.squareRoot()) }, -12.5...8) < 6)
    #expect(largestError(ckernels_normal_distribution_float, { 0.5 * erfc(-$0 / 2.0.squareRoot()) }, -0.7...0.7) < 2)
  }

  @Test func logarithmIsWithinThreeUnits() {
    #expect(largestError(ckernels_log1p_of_unit_float, log1p, 0...1) < 3)
  }

  @Test func extremesSaturate() {
    let extremes: [Float] = [-.infinity, -1000, 1000, .infinity]
    #expect(values(ckernels_exp_float, extremes) == [0, 0, .infinity, .infinity])
    #expect(values(ckernels_tanh_float, extremes) == [-1, -1, 1, 1])
    #expect(values(ckernels_normal_distribution_float, extremes) == [0, 0, 1, 1])
  }

  @Test func notANumberStaysSo() {
    for kernel in [
      ckernels_exp_float, ckernels_exp_of_weight_float, ckernels_tanh_float, ckernels_normal_distribution_float,
    ] as [Kernel] {
      #expect(values(kernel, [.nan, 1]).map(\.isNaN) == [true, false])
    }
  }
}
