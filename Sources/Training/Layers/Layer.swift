package import Architecture
package import Tensors

/// A layer that can compute: its rules (`LayerRules`) and its two passes, kept in one file for each kind.
package protocol Layer: LayerRules {
  /// Indices into `Model.values` of what it reads.
  var inputs: [Int] { get }
  /// The value it writes; no other layer writes it.
  var output: Int { get }
  /// Elements a row that the forward pass keeps for the backward pass, beside inputs and output.
  var keptColumns: Int { get }

  /// The values, of `inputs` and `output`, that the backward pass reads; of the others' views only the shape counts there.
  var valuesReadBackward: [Int] { get }

  /// Writes `pass.output`, and `pass.kept` where there is one.
  func forward<Element: FloatingElement>(_ pass: ForwardPass<Element>)

  /// Writes the gradients of its parameters and adds to or writes those of its inputs; may overwrite
  /// `pass.outputGradient`.
  ///
  /// Returns the sum of squares over all its parameter gradients as they stand after this pass (what earlier parts of the batch
  /// added included), whose bits must not depend on the number of threads.
  func backward<Element: FloatingElement>(_ pass: BackwardPass<Element>) -> Double
}

extension Layer {
  package var valuesReadBackward: [Int] { inputs + [output] }
}
