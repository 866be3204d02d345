import Foundation
import Testing

@testable import Numerics

@Suite struct ElementwiseKernelTests {
  private func definition(_ function: ElementwiseFunction, _ x: Double) -> Double {
    switch function {
    case .identity: x
    case .relu: max(0, x)
    case .gelu: x * 0.5 * erfc(-x / 2.0.squareRoot())
    case .silu: x / (1 + exp(-x))
    case .tanh: tanh(x)
    case .geluTanh: x / 2 * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
    }
  }

  /// Odd sizes, so that both the vector body and the rest of a row are used.
  @Test(arguments: ElementwiseFunction.allCases) func activationAddsTheBiasAndKeepsTheDerivative(
    _ function: ElementwiseFunction
  ) {
    let (rows, columns) = (3, 37)
    let single = MatrixBuffer<Float>(rows: rows, columns: columns)
    let double = MatrixBuffer<Double>(rows: rows, columns: columns)
    let kept = MatrixBuffer<Double>(rows: rows, columns: columns)
    let bias = (0..<columns).map { Double($0 % 5) / 4 - 0.5 }
    for index in 0..<double.count {
      double.elements[index] = Double(index % 41) / 4 - 5
      single.elements[index] = Float(double.elements[index])
    }
    let arguments = (0..<double.count).map { double.elements[$0] + bias[$0 % columns] }
    Double.activate(function, double.view, bias: bias, slopes: kept.view, residual: nil)
    Float.activate(function, single.view, bias: bias.map(Float.init), slopes: nil, residual: nil)
    for (index, argument) in arguments.enumerated() {
      let expected = definition(function, argument)
      // libm's functions are within 1 unit (2.2e-16 of the value), the formula rounds 3 times.
      #expect(abs(double.elements[index] - expected) <= 1e-15 * max(1, abs(expected)))
      if function.derivativeIsKept {
        // A central difference with h = 1e-5: h² of a third derivative below 2, and rounding 1e-15 · 8 / 1e-5.
        let slope = (definition(function, argument + 1e-5) - definition(function, argument - 1e-5)) / 2e-5
        #expect(abs(kept.elements[index] - slope) <= 1e-9)
      }
      // 6 units of 1.2e-7, times at most |x| = 5.5 of the product's first factor.
      #expect(abs(Double(single.elements[index]) - expected) <= 4e-6 * max(abs(expected), 1e-6))
    }
  }

  @Test func relusKeepNotANumber() {
    let buffer = MatrixBuffer<Float>(rows: 1, columns: 40)
    buffer.elements.update(repeating: .nan)
    Float.activate(.relu, buffer.view, bias: nil, slopes: nil, residual: nil)
    #expect(buffer.elements.allSatisfy { $0.isNaN })
  }

  @Test func finiteCheckFindsOneBadElementAnywhere() {
    for position in [0, 15, 4096, 9998] {
      for bad in [Float.nan, .infinity, -.infinity] {
        var values = Array(repeating: Float.greatestFiniteMagnitude, count: 9999)
        #expect(Float.allFinite(values.count, values))
        values[position] = bad
        #expect(!Float.allFinite(values.count, values))
      }
    }
  }

  @Test func sumsOfSquaresAreTakenInDouble() {
    // In single precision the sum would stay at 2²⁴ = 16777216.
    let ones = Array(repeating: Float(1), count: 20_000_003)
    #expect(Float.sumOfSquares(ones.count, ones) == 20_000_003)
  }

  @Test func columnSumsCoverMoreColumnsThanOneBlock() {
    let gradient = MatrixBuffer<Float>(rows: 5, columns: 601)
    for index in 0..<gradient.count { gradient.elements[index] = Float(index % 601) }
    var sums = Array(repeating: Double.nan, count: 601)
    Float.activateBackward(.identity, gradient.view, kept: nil, columnSums: &sums)
    #expect(sums == (0..<601).map { Double(5 * $0) })
  }

  @Test func sumsOverElementsDoNotDependOnThreads() {
    let buffer = MatrixBuffer<Float>(rows: 1, columns: 300_001)
    for index in 0..<buffer.count { buffer.elements[index] = 1 / Float(index + 1) }
    let sums = [1, 2, 3, 7].map { Workers(threads: $0).sumOfSquares(buffer) }
    #expect(sums.allSatisfy { $0 == sums[0] })
    // π²/6 less the tail 1/n; terms are rounded to single precision: 6e-8 each, relative.
    #expect(abs(sums[0] - (Double.pi * Double.pi / 6 - 1 / 300_001.0)) < 1e-6)
  }
}
