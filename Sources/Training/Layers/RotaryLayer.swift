package import Architecture
package import Tensors

/// Turns each pair of coordinates (i, i + headWidth/2) of every head by its row's position times frequency i: rotary position
/// embedding, in the order of coordinates that Hugging Face's `rotate_half` has.
///
/// A row's position is its token's place in the sample, or where a row is a sample, its pooled token's.
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

  package func forward<Element: FloatingElement>(_ pass: ForwardPass<Element>) {
    guard let input = pass.inputs.first, let sequences = pass.sequences else { return }
    rotate(input, into: pass.output, accumulates: false, reverses: false, sequences, pass.workers)
  }

  package func backward<Element: FloatingElement>(_ pass: BackwardPass<Element>) -> Double {
    guard let target = pass.inputGradients.first ?? nil, let sequences = pass.sequences else { return 0 }
    rotate(
      pass.outputGradient, into: target.view, accumulates: target.accumulates, reverses: true, sequences, pass.workers)
    return 0
  }

  private func rotate<Element: FloatingElement>(
    _ source: MatrixView<Element>, into target: MatrixView<Element>, accumulates: Bool, reverses: Bool,
    _ sequences: SequenceLayout, _ workers: Workers
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
        factors.withFactors(of: token - sequences.offsets[sample]) { coarse, fine in
          Element.rotate(
            heads: heads, half: planes, source.base + row * source.stride, coarse: coarse, fine: fine,
            reverses: reverses, into: target.base + row * target.stride, accumulates: accumulates)
        }
      }
    }
  }
}
