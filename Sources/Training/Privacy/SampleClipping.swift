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

  /// What each sample's output gradient is multiplied by: min(1, C/‖gᵢ‖)/B.
  ///
  /// - Parameter squares: ‖gᵢ‖² of `count` samples.
  /// - Throws: `TrainingError.nonFiniteSampleGradient` where one of them is not finite.
  func factors(_ squares: PartialSums, count: Int) throws(TrainingError) -> [Double] {
    var factors: [Double] = []
    factors.reserveCapacity(count)
    for sample in 0..<count {
      let norm = squares[sample].squareRoot()
      guard norm.isFinite else { throw .nonFiniteSampleGradient }
      factors.append((norm > clipNorm ? clipNorm / norm : 1) / expectedBatch)
    }
    return factors
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
  func addSampleSquares<Element: FloatingElement>(
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
  fileprivate var longest: Int {
    sequences.map { layout in (0..<count).reduce(0) { max($0, layout.range(ofSample: $1).count) } } ?? 1
  }

  /// Calls `body` for each sample, with memory for `scratch` elements.
  fileprivate func forEach<Element: TensorElement>(
    _ workers: Workers, scratch: Int, of type: Element.Type,
    _ body: @Sendable (_ sample: Int, _ memory: UnsafeMutablePointer<Element>) -> Void
  ) {
    let height = sequences == nil ? 64 : 1
    workers.perform(pieces: (count + height - 1) / height, scratch: scratch, of: type) { piece, memory in
      for sample in piece * height..<min(count, (piece + 1) * height) { body(sample, memory) }
    }
  }

  /// Multiplies the rows of each sample of `view` by its factor.
  func scale<Element: FloatingElement>(_ view: MatrixView<Element>, by factors: [Double], _ workers: Workers) {
    forEach(workers, scratch: 0, of: Element.self) { sample, _ in
      for row in range(ofSample: sample) {
        Element.scale(view.columns, view.base + row * view.stride, by: Element(factors[sample]))
      }
    }
  }
}

/// Norms of sums over a sample's rows, from the rows.
extension Compute {
  /// Rows or columns of a product of one sample that are in memory at once.
  private static var blockRows: Int { 64 }

  /// Adds (factor · ‖Σ_t g_t x_tᵀ‖)² over the rows t of each sample: ‖g‖²‖x‖² for one row; for more the product itself or
  /// Σ⟨x_s, x_t⟩⟨g_s, g_t⟩, whichever takes less.
  ///
  /// Products have the format's rounding, everything else double's. Where rows cancel, the error is relative to (Σ_t ‖g_t‖‖x_t‖)².
  func addProductSquares<Element: FloatingElement>(
    _ gradient: MatrixView<Element>, _ input: MatrixView<Element>, factor: Double = 1, of samples: SampleRows,
    to squares: PartialSums
  ) {
    let (inner, outer) = (input.columns, gradient.columns)
    let scratch = samples.longest > 1 ? Self.blockRows * max(inner, 2 * samples.longest) : 0
    samples.forEach(workers, scratch: scratch, of: Element.self) { sample, memory in
      let rows = samples.range(ofSample: sample)
      let square: Double
      if rows.count == 1 {
        let row = rows.lowerBound
        square =
          Element.sumOfSquares(inner, input.base + row * input.stride)
          * Element.sumOfSquares(outer, gradient.base + row * gradient.stride)
      } else if rows.count * (inner + outer) < 2 * inner * outer {
        square = gramSquare(gradient.rows(rows), input.rows(rows), memory)
      } else {
        square = directSquare(gradient.rows(rows), input.rows(rows), memory)
      }
      squares[sample] += factor * factor * square
    }
  }

  /// Adds ‖Σ_t g_t‖² over the rows t of each sample.
  func addSumSquares<Element: FloatingElement>(
    _ gradient: MatrixView<Element>, of samples: SampleRows, to squares: PartialSums
  ) {
    let width = gradient.columns
    samples.forEach(workers, scratch: width, of: Double.self) { sample, sums in
      sums.update(repeating: 0, count: width)
      for row in samples.range(ofSample: sample) {
        let source = gradient.base + row * gradient.stride
        for column in 0..<width { sums[column] += Double(source[column]) }
      }
      squares[sample] += Double.sumOfSquares(width, sums)
    }
  }

  /// ‖gᵀ x‖², some rows of the product at a time.
  private func directSquare<Element: FloatingElement>(
    _ gradient: MatrixView<Element>, _ input: MatrixView<Element>, _ memory: UnsafeMutablePointer<Element>
  ) -> Double {
    var sum = 0.0
    for first in stride(from: 0, to: gradient.columns, by: Self.blockRows) {
      let columns = first..<min(gradient.columns, first + Self.blockRows)
      let product = MatrixView(memory, rows: columns.count, columns: input.columns)
      multiplyOnCallingThread(gradient.columns(columns), transposeA: true, input, into: product)
      sum += Element.sumOfSquares(product.count, memory)
    }
    return sum
  }

  /// The same as Σ⟨x_s, x_t⟩⟨g_s, g_t⟩, pairs with s in one block and t at or after it at a time.
  private func gramSquare<Element: FloatingElement>(
    _ gradient: MatrixView<Element>, _ input: MatrixView<Element>, _ memory: UnsafeMutablePointer<Element>
  ) -> Double {
    var sum = 0.0
    for first in stride(from: 0, to: input.rows, by: Self.blockRows) {
      let (block, rest) = (first..<min(input.rows, first + Self.blockRows), first..<input.rows)
      let inputs = MatrixView(memory, rows: block.count, columns: rest.count)
      let gradients = MatrixView(memory + inputs.count, rows: block.count, columns: rest.count)
      multiplyOnCallingThread(input.rows(block), input.rows(rest), transposeB: true, into: inputs)
      multiplyOnCallingThread(gradient.rows(block), gradient.rows(rest), transposeB: true, into: gradients)
      for row in 0..<block.count {
        let (left, right) = (inputs.base + row * rest.count, gradients.base + row * rest.count)
        for column in 0..<rest.count {
          // Pairs within the block come twice by themselves.
          sum += (column < block.count ? 1 : 2) * Double(left[column]) * Double(right[column])
        }
      }
    }
    return max(0, sum)
  }
}
