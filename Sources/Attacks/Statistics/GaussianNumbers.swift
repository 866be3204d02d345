import Foundation

/// Independent standard normal numbers for attacks. Keys are never drawn from these: an owner's come from a cryptographic stream.
package enum GaussianNumbers {
  /// Two at a time from two uniform numbers (Box and Muller, Ann. Math. Stat. 29, 1958).
  package static func fill(_ count: Int, random: inout some RandomNumberGenerator) -> [Double] {
    var numbers: [Double] = []
    numbers.reserveCapacity(count + 1)
    while numbers.count < count {
      // 53 bits, never 0: the logarithm stays finite.
      let radius = (-2 * log((Double(random.next() >> 11) + 1) * 0x1p-53)).squareRoot()
      let angle = 2 * Double.pi * Double(random.next() >> 11) * 0x1p-53
      numbers.append(radius * cos(angle))
      numbers.append(radius * sin(angle))
    }
    if numbers.count > count { numbers.removeLast() }
    return numbers
  }
}
