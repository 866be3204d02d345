import Foundation

/// Cosines and sines of position · frequency, for positions up to a largest.
///
/// Kept as a coarse and a fine factor, position = coarse · 256 + fine, joined by the addition theorems: a table of every
/// position would take gigabytes for long contexts.
package final class RotaryTable: Sendable {
  private static let span = 256

  /// Planes of a head: frequencies.
  let planes: Int
  /// For each coarse position `planes` cosines, then `planes` sines.
  private let coarse: [Double]
  private let fine: [Double]

  /// - Parameter positions: one more than the largest position.
  init(frequencies: [Double], positions: Int) {
    planes = frequencies.count
    func table(_ count: Int, step: Int) -> [Double] {
      (0..<count).flatMap { index in
        let angles = frequencies.map { Double(index * step) * $0 }
        return angles.map { cos($0) } + angles.map { sin($0) }
      }
    }
    fine = table(Self.span, step: 1)
    coarse = table(max(1, (positions + Self.span - 1) / Self.span), step: Self.span)
  }

  /// Calls `body` with the two factors of a position below `positions`.
  func withFactors(of position: Int, _ body: (UnsafePointer<Double>, UnsafePointer<Double>) -> Void) {
    coarse.withUnsafeBufferPointer { coarse in
      fine.withUnsafeBufferPointer { fine in
        let (high, low) = (position / Self.span * 2 * planes, position % Self.span * 2 * planes)
        guard let first = coarse.baseAddress, let second = fine.baseAddress, high < coarse.count else { return }
        body(first + high, second + low)
      }
    }
  }
}
