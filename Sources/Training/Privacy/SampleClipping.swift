import Models
package import Numerics

/// Per-sample clipping of differentially private training (DP-SGD: Abadi et al., 2016, algorithm 1): the gradient of a step is
/// (1/B) Σᵢ gᵢ · min(1, C/‖gᵢ‖), gᵢ the gradient of sample i's own loss over all trained parameters together.
///
/// B is a public number that does not depend on how many samples a batch happens to have: a sample that is added or removed then changes
/// the gradient by C/B at most. Noise is not a part of it; see `GaussianNoise`.
///
/// No gradient of one sample is ever in memory: a first backward pass finds the norms from what layers read and are handed (ghost norms:
/// Goodfellow, 2015, arXiv:1510.01799; for sequences Li et al., 2022, arXiv:2110.05679, section 4), and a second one runs on output gradients
/// that are scaled sample by sample.
package struct SampleClipping: Sendable, Equatable {
  /// C, above 0.
  package let clipNorm: Double
  /// B, above 0; need not be whole.
  package let expectedBatch: Double

  /// - Throws: `TrainingError.invalidSetting` unless both are above 0 and finite.
  package init(clipNorm: Double, expectedBatch: Double) throws(TrainingError) {
    guard clipNorm > 0, clipNorm.isFinite else { throw .invalidSetting("a clip norm must be above 0 and finite") }
    guard expectedBatch > 0, expectedBatch.isFinite else {
      throw .invalidSetting("the batch that clipped gradients are divided by must be above 0 and finite")
    }
    self.clipNorm = clipNorm
    self.expectedBatch = expectedBatch
  }

  /// What each sample's output gradient is multiplied by: min(1, C/‖gᵢ‖)/B; 0 where ‖gᵢ‖ is not finite. Such a sample is none: to end the run for
  /// it would tell everybody that it is there, which noise does not hide.
  ///
  /// - Parameter squares: ‖gᵢ‖² of `count` samples.
  func factors(_ squares: PartialSums, count: Int) -> [Double] {
    (0..<count).map { sample in
      let norm = squares[sample].squareRoot()
      guard norm.isFinite else { return 0 }
      return (norm > clipNorm ? clipNorm / norm : 1) / expectedBatch
    }
  }
}

extension Model {
  /// The first layer that is trained and whose per-sample norms are not known; nil where all are, so that the model can be trained with
  /// `SampleClipping`.
  package var layerWithoutSampleNorms: String? {
    layers.first { $0.parameters.contains(where: \.isTrained) && !($0 is any SampleNormLayer) }?.name
  }
}

/// A trained layer that can tell the norms of its parameters' gradients sample by sample, without making those gradients.
package protocol SampleNormLayer: Layer {
  /// Adds to `squares[i]` the squared norm of the gradient that sample i alone gives its trained parameters, summed in double; the bits do not
  /// depend on the number of threads.
  ///
  /// - Parameters:
  ///   - pass: after `backward` ran on it, with what that has left in it.
  ///   - samples: whose rows are which.
  func addSampleSquares<Element: ActivationElement>(
    _ pass: BackwardPass<Element>, of samples: SampleRows, to squares: PartialSums)
}

/// Which rows of a matrix belong to which sample: one each, or the tokens of a sequence.
package struct SampleRows: Sendable {
  package let count: Int
  /// Nil where each sample has one row.
  private let sequences: SequenceLayout?

  init(count: Int) {
    self.count = count
    sequences = nil
  }

  init(tokensOf sequences: SequenceLayout) {
    count = sequences.samples
    self.sequences = sequences
  }

  package func range(ofSample sample: Int) -> Range<Int> {
    sequences?.range(ofSample: sample) ?? sample..<sample + 1
  }

  /// Rows of the longest sample.
  var longest: Int {
    sequences.map { layout in (0..<count).reduce(0) { max($0, layout.range(ofSample: $1).count) } } ?? 1
  }

  /// Calls `body` for each sample, with memory for `scratch` elements.
  func forEach<Element: TensorElement>(
    _ workers: Workers, scratch: Int, of type: Element.Type,
    _ body: @Sendable (_ sample: Int, _ memory: UnsafeMutablePointer<Element>) -> Void
  ) {
    let height = sequences == nil ? 64 : 1
    workers.perform(pieces: (count + height - 1) / height, scratch: scratch, of: type) { piece, memory in
      for sample in piece * height..<min(count, (piece + 1) * height) { body(sample, memory) }
    }
  }

  /// Multiplies the rows of each sample of `numbers`, a matrix, by its factor.
  func scale<Element: FloatingElement>(_ numbers: inout Tensor<Element>, by factors: [Double], _ workers: Workers) {
    let (rows, columns) = (numbers.rows, numbers.columns)
    numbers.withUnsafeMutableBufferPointer { elements in
      guard let base = elements.baseAddress else { return }
      let view = MatrixView(base, rows: rows, columns: columns)
      forEach(workers, scratch: 0, of: Element.self) { sample, _ in
        for row in range(ofSample: sample) {
          Element.scale(view.columns, view.base + row * view.stride, by: Element(factors[sample]))
        }
      }
    }
  }
}
