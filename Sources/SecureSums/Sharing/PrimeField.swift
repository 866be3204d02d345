/// An integer modulo p = 2⁶¹ − 1, a Mersenne prime: a product is reduced by shifts and additions, without a division, and no operation
/// has a branch that depends on a value.
struct FieldElement: Equatable {
  static let modulus: UInt64 = (1 << 61) - 1
  static let zero = FieldElement(reducing: 0)
  static let one = FieldElement(reducing: 1)

  /// 0 ..< modulus.
  let value: UInt64

  /// Nil outside 0 ..< modulus.
  init?(_ value: UInt64) {
    guard value < Self.modulus else { return nil }
    self.value = value
  }

  /// `value` below 2⁶³, modulo p: 2⁶¹ is 1, so the bits above the 61st are added at the bottom.
  init(reducing value: UInt64) {
    let folded = (value & Self.modulus) &+ (value >> 61)
    // All ones where folded < p, so that p is put back.
    let difference = folded &- Self.modulus
    let isNegative = 0 &- (difference >> 63)
    self.value = difference &+ (Self.modulus & isNegative)
  }

  static func + (left: FieldElement, right: FieldElement) -> FieldElement {
    FieldElement(reducing: left.value &+ right.value)
  }

  static func - (left: FieldElement, right: FieldElement) -> FieldElement {
    FieldElement(reducing: left.value &+ (modulus &- right.value))
  }

  static func * (left: FieldElement, right: FieldElement) -> FieldElement {
    // Below 2¹²² = high · 2⁶⁴ + low, and 2⁶⁴ is 8: high · 8 < 2⁶¹.
    let (high, low) = left.value.multipliedFullWidth(by: right.value)
    return FieldElement(reducing: (low & modulus) &+ (low >> 61 | high << 3))
  }

  /// 1 / self by Fermat: self to the power p − 2, whose bits are all 1 but the second. Of zero: zero.
  var inverse: FieldElement {
    // After k rounds `power` is self^(2^k − 1).
    var power = self
    for _ in 1..<59 { power = power * power * self }
    // p − 2 = (2⁵⁹ − 1) · 4 + 1.
    power = power * power
    power = power * power
    return power * self
  }
}
