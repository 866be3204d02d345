import Models
import Numerics
import Testing

@testable import Masking

/// How many known rows give the key: for two columns worked by hand from what `JobKeys` makes of rows, which is all that a provider sees.
@Suite struct KnownRowsToKeyTests {
  private let known = [(3.0, 1.0), (1.0, -1.0)]
  private let other = (0.5, 2.0)

  private func product(_ masked: Tensor<Double>, _ left: Int, _ right: Int) -> Double {
    (0..<masked.columns).reduce(0) { $0 + masked[left, $1] * masked[right, $1] }
  }

  /// p = x'₁ · x' − 1 = 3a + b and q = x'₂ · x' − 1 = a − b give a = (p + q) / 4 and b = (p − 3q) / 4, whatever the key; some ten roundings of 1e-16.
  @Test(arguments: [0, 1, 3]) func twoRowsOfTwoColumnsGiveEveryOther(padding: Int) throws {
    let keys = try MLPFixture(features: 2, padding: padding).keys(.rotation)
    let rows = Tensor((known + [other]).flatMap { [$0.0, $0.1] }, shape: [3, 2])
    let masked = try keys.maskInputs(rows)
    let (p, q) = (product(masked, 0, 2) - 1, product(masked, 1, 2) - 1)
    #expect(abs((p + q) / 4 - other.0) < 1e-14 && abs((p - 3 * q) / 4 - other.1) < 1e-14)
    #expect(keys.plan.input.knownRowsToKey == 2)
  }

  /// One row less: x mirrored at the line through x₁, x* = 2 (x · x₁ / |x₁|²) x₁ − x = (1.6, −1.3), has the same inner products with x₁ and with itself.
  @Test func oneRowLeavesAMirrorImage() throws {
    let keys = try MLPFixture(features: 2, padding: 1).keys(.rotation)
    let mirrored = (1.6, -1.3)
    let masked = try keys.maskInputs(
      Tensor([known[0], other, mirrored].flatMap { [$0.0, $0.1] }, shape: [3, 2]))
    #expect(abs(product(masked, 0, 1) - product(masked, 0, 2)) < 1e-14)
    #expect(abs(product(masked, 1, 1) - product(masked, 2, 2)) < 1e-14)
  }

  @Test func otherKeysFallToOneAndNoneToNoRow() throws {
    #expect(try MLPFixture(features: 5).keys(.permutation).plan.input.knownRowsToKey == 1)
    #expect(try MLPFixture(features: 5).keys(.none).plan.input.knownRowsToKey == 0)
  }
}
