package import Models
import Foundation
import Synchronization
package import Numerics

/// Turns each pair of coordinates (i, i + headWidth/2) of every head by its row's position times frequency i: rotary position
/// embedding, in the order of coordinates that Hugging Face's `rotate_half` has.
///
/// A row's position is its token's place in the sample, or where a row is a sample, its pooled token's; where a pass continues sessions, it counts
/// from the session's start.
package struct RotaryLayer: Layer {
  package let name: String
  package let constraints: [SpaceConstraint]
  package let inputs: [Int]
  package let output: Int
  private let heads: Int
  private let domain: RowDomain
  private let table: RotaryTable

  package var parameters: [ParameterSpecification] { [] }
  package var keptColumns: Int { 0 }
  package var valuesReadBackward: [Int] { [] }

  /// - Parameter value: what both input and output are; its space has a `HeadsForm` that is rotary, which alone says which
  ///   keys commute with the turns.
  init(name: String, from input: Int, to output: Int, _ value: ModelValue, heads: Int, table: RotaryTable) {
    self.name = name
    inputs = [input]
    self.output = output
    self.heads = heads
    self.table = table
    domain = value.domain
    constraints = [
      SpaceConstraint(space: value.space, largest: .orthogonal, reason: "rotary positions of \(name)")
    ]
  }

  package func forward<Element: ActivationElement>(_ pass: ForwardPass<Element>) {
    guard let input = pass.inputs.first.flatMap(Element.view), let output = Element.view(pass.output),
      let sequences = pass.sequences
    else { return }
    rotate(
      input, into: output, accumulates: false, reverses: false, sequences, starts: pass.past?.starts, pass.workers)
  }

  package func backward<Element: ActivationElement>(_ pass: BackwardPass<Element>) -> Double {
    guard let target = pass.inputGradients.first ?? nil, let view = Element.view(target.view),
      let gradient = Element.view(pass.outputGradient), let sequences = pass.sequences
    else { return 0 }
    rotate(
      gradient, into: view, accumulates: target.accumulates, reverses: true, sequences, starts: nil,
      pass.workers)
    return 0
  }

  /// - Parameter starts: the position of each sample's first token; nil where all are 0.
  private func rotate<Element: ActivationElement>(
    _ source: MatrixView<Element>, into target: MatrixView<Element>, accumulates: Bool, reverses: Bool,
    _ sequences: SequenceLayout, starts: [Int]?, _ workers: Workers
  ) {
    let (heads, planes, factors, domain) = (heads, table.planes, table.factors(), domain)
    workers.performOverRows(source) { rows in
      var sample = domain == .tokens ? sequences.sample(ofToken: rows.lowerBound) : rows.lowerBound
      for row in rows {
        if domain == .samples {
          sample = row
        } else {
          while row >= sequences.offsets[sample + 1] { sample += 1 }
        }
        let token = domain == .samples ? sequences.pooled[row] : row
        factors.withFactors(of: token - sequences.offsets[sample] + (starts?[sample] ?? 0)) { coarse, fine in
          Element.rotate(
            heads: heads, half: planes, source.base + row * source.stride, coarse: coarse, fine: fine,
            reverses: reverses, into: target.base + row * target.stride, accumulates: accumulates)
        }
      }
    }
  }
}

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
