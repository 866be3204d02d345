import Foundation
import Synchronization
import Tensors

/// Cosines and sines of position · frequency, for positions up to a largest.
///
/// Kept as a coarse and a fine factor, position = coarse · 256 + fine, joined by the addition theorems: a table of every
/// position would take gigabytes for long contexts. The numbers are made when they are first asked for and then shared by all
/// layers that have this table, so that a model can be described, estimated and refused without them.
package final class RotaryTable: Sendable {
  private static let span = 256

  /// Planes of a head: frequencies.
  let planes: Int
  private let frequencies: [Double]
  private let coarseSteps: Int
  private let made = Mutex<Factors?>(nil)

  /// For each position of its kind `planes` cosines, then `planes` sines.
  struct Factors: Sendable {
    fileprivate let planes: Int
    fileprivate let coarse: [Double]
    fileprivate let fine: [Double]

    /// Calls `body` with the two factors of a position below the table's `positions`.
    func withFactors(of position: Int, _ body: (UnsafePointer<Double>, UnsafePointer<Double>) -> Void) {
      coarse.withUnsafeBufferPointer { coarse in
        fine.withUnsafeBufferPointer { fine in
          let (high, low) = (position / RotaryTable.span * 2 * planes, position % RotaryTable.span * 2 * planes)
          guard let first = coarse.baseAddress, let second = fine.baseAddress, high < coarse.count else { return }
          body(first + high, second + low)
        }
      }
    }
  }

  /// - Parameter positions: one more than the largest position.
  init(frequencies: [Double], positions: Int) {
    self.frequencies = frequencies
    planes = frequencies.count
    coarseSteps = max(1, positions / Self.span + (positions % Self.span > 0 ? 1 : 0))
  }

  /// Whether the numbers have been made.
  var isMade: Bool { made.withLock { $0 != nil } }

  /// Bytes of the numbers, made or not; nil on overflow.
  var byteCount: Int? {
    Shape.sum([Self.span, coarseSteps]).flatMap { Shape.byteCount([$0, 2, planes], .float64) }
  }

  /// The numbers, made by the first call.
  func factors() -> Factors {
    made.withLock { made in
      if let made { return made }
      func table(_ count: Int, step: Int) -> [Double] {
        (0..<count).flatMap { index in
          let angles = frequencies.map { Double(index * step) * $0 }
          return angles.map { cos($0) } + angles.map { sin($0) }
        }
      }
      let factors = Factors(
        planes: planes, coarse: table(coarseSteps, step: Self.span), fine: table(Self.span, step: 1))
      made = factors
      return factors
    }
  }
}
