package import Models
package import Numerics

/// A layer that can compute: its rules (`LayerRules`) and its two passes, kept in one file for each kind.
package protocol Layer: LayerRules {
  /// Indices into `Model.values` of what it reads.
  var inputs: [Int] { get }
  /// The value it writes; no other layer writes it.
  var output: Int { get }
  /// Elements per row that the forward pass keeps for the backward pass, beside inputs and output.
  var keptColumns: Int { get }
  /// Numbers per row that it keeps beside those in the format of arithmetic, whatever activations are kept in: means, scales and logarithms, which
  /// few bits would spoil.
  var statisticsColumns: Int { get }

  /// How many products of a pass have the first input as an operand: x of x Wᵀ, from the left, and x of dZᵀ x, from the right.
  func productsOfInput(_ direction: PassDirection) -> Int

  /// How its values may be stored where activations are kept in 16 bits.
  var formatRules: [FormatRule] { get }

  /// The values, of `inputs` and `output`, that the backward pass reads; of the others' views only the shape counts there.
  var valuesReadBackward: [Int] { get }

  /// Writes `pass.output`, and `pass.kept` where there is one.
  func forward<Element: ActivationElement>(_ pass: ForwardPass<Element>)

  /// Writes the gradients of its parameters and adds to or writes those of its inputs; may overwrite
  /// `pass.outputGradient`.
  ///
  /// Returns the sum of squares over all its parameter gradients as they stand after this pass (what earlier parts of the batch
  /// added included), whose bits must not depend on the number of threads.
  func backward<Element: ActivationElement>(_ pass: BackwardPass<Element>) -> Double
}

extension Layer {
  package var valuesReadBackward: [Int] { inputs + [output] }
  package var statisticsColumns: Int { 0 }
  package func productsOfInput(_ direction: PassDirection) -> Int { 0 }
  package var formatRules: [FormatRule] { (inputs + [output]).map { .narrow($0) } }
}

package enum PassDirection: Sendable {
  case forward
  case backward
}

/// What a layer gets for a forward pass over some samples of a batch. A view has as many rows as there are samples or tokens,
/// by its value's domain. `Element` is what activations are kept in, but for those that `Model.formats` leaves in the format of arithmetic.
package struct ForwardPass<Element: ActivationElement> {
  package let compute: Compute
  /// Nil where every sample is one row.
  package let sequences: SequenceLayout?
  /// In the order of the layer's `parameters`; a vector of n is 1 × n.
  package let parameters: ArraySlice<MatrixView<Element.Accumulator>>
  /// Of each parameter; empty where none is packed.
  var packed: ArraySlice<PackedWeight> = []
  /// The first input as products have their left operand; nil where it is not packed for several.
  var packedInput: PackedRows? = nil
  package let inputs: [StoredMatrix<Element.Accumulator>]
  package let output: StoredMatrix<Element.Accumulator>
  /// The output's rows × `keptColumns`; nil in inference, where no backward pass follows, and where `keptColumns` is 0.
  package let kept: MatrixView<Element>?
  /// The output's rows × `statisticsColumns`; nil as `kept` is.
  var statistics: MatrixView<Element.Accumulator>? = nil
  /// What came before the samples' rows, where a pass continues sessions (`HostedModel.extend`); nil where each sample is whole.
  var past: PastTokens<Element>? = nil

  package var workers: Workers { compute.workers }
}

/// What a layer gets for a backward pass over the samples of one or more forward passes: a whole batch, or a part of it.
package struct BackwardPass<Element: ActivationElement> {
  package let compute: Compute
  /// Nil where every sample is one row.
  package let sequences: SequenceLayout?
  package let parameters: ArraySlice<MatrixView<Element.Accumulator>>
  var packed: ArraySlice<PackedWeight> = []
  /// The first input as products have their right operand; nil where it is not packed for several.
  var packedInput: PackedMatrix? = nil
  package let inputs: [StoredMatrix<Element.Accumulator>]
  package let output: StoredMatrix<Element.Accumulator>
  package let kept: MatrixView<Element>?
  var statistics: MatrixView<Element.Accumulator>? = nil
  /// ∂L/∂output, complete; the layer may overwrite it.
  package let outputGradient: StoredMatrix<Element.Accumulator>
  /// One for each input; nil where nobody needs it: the model's input, and whatever only frozen layers
  /// come before.
  package let inputGradients: [InputGradient<Element.Accumulator>?]
  /// In the order of `parameters`; nil for a parameter that is not trained.
  package let parameterGradients: ArraySlice<ParameterGradient<Element.Accumulator>?>

  package var workers: Workers { compute.workers }
}

/// Where a layer puts ∂L/∂input.
package struct InputGradient<Element: FloatingElement> {
  /// Stored as the input is.
  package let view: StoredMatrix<Element>
  /// Another reader of the same value has already written its share: add to it.
  package let accumulates: Bool
}

/// Where a layer puts ∂L/∂parameter.
package struct ParameterGradient<Element: FloatingElement> {
  package let view: MatrixView<Element>
  /// An earlier part of the same batch has already written its share: add to it.
  package let accumulates: Bool
}

/// How the token rows of a pass are divided into samples. Samples follow each other without padding.
package struct SequenceLayout: Sendable, Equatable {
  /// Start of each sample's tokens, and the end of the last sample's: `samples` + 1 ascending numbers from 0.
  package let offsets: [Int]
  /// The row of each sample's pooled token, within the sample's range; empty when no layer pools by it.
  package let pooled: [Int]

  package init(offsets: [Int], pooled: [Int]) {
    self.offsets = offsets
    self.pooled = pooled
  }

  /// Of samples with these lengths, and pooled tokens at these places within them.
  package init(lengths: some Sequence<Int32>, pooled: some Sequence<Int32>) {
    var offsets = [0]
    var places: [Int] = []
    for (length, place) in zip(lengths, pooled) {
      let start = offsets[offsets.count - 1]
      places.append(start + Int(place))
      offsets.append(start + Int(length))
    }
    self.init(offsets: offsets, pooled: places)
  }

  package var samples: Int { max(0, offsets.count - 1) }
  package var tokens: Int { offsets.last ?? 0 }

  package func range(ofSample sample: Int) -> Range<Int> {
    offsets[sample]..<offsets[sample + 1]
  }

  /// The sample that a token row belongs to.
  func sample(ofToken row: Int) -> Int {
    var (low, high) = (0, samples)
    while high - low > 1 {
      let middle = (low + high) / 2
      if offsets[middle] <= row { low = middle } else { high = middle }
    }
    return low
  }
}
