import Models
import Numerics
import Synchronization
import Testing

@testable import Training

/// OpenBLAS, and how many multiply-adds it was asked for.
private final class CountingProducts: ProductLibrary {
  private let counted = Atomic<Int>(0)

  var count: Int { counted.load(ordering: .relaxed) }

  func multiply(_ product: MatrixProduct<Float>, _ precision: ProductPrecision) {
    note(product)
    OpenBLAS().multiply(product, precision)
  }

  func multiply(_ product: MatrixProduct<Double>, _ precision: ProductPrecision) {
    note(product)
    OpenBLAS().multiply(product, precision)
  }

  private func note<Element>(_ product: MatrixProduct<Element>) {
    let depth = product.term.depth + (product.addition?.depth ?? 0)
    counted.add(product.c.rows * product.c.columns * depth, ordering: .relaxed)
  }
}

/// Every product that a layer or an optimizer makes goes through the library that it is handed: the multiply-adds of each are known.
@Suite struct ProductLibraryTests {
  private let rows = 6

  private func count(_ harness: LayerHarness) -> Int {
    let library = CountingProducts()
    _ = harness.run(
      Double.self, inputs: harness.inputs, parameters: harness.parameters,
      compute: Compute(workers: Workers(threads: 2), library: library))
    return library.count
  }

  private func value(_ name: String, _ width: Int) -> ModelValue {
    ModelValue(space: SpaceID(name), width: width, domain: .tokens)
  }

  private var linear: LinearLayer {
    LinearLayer(name: "l", from: 0, value("in", 5), to: 1, value("out", 7), activation: .gelu)
  }

  /// Output, gradients of weights and of inputs.
  @Test func ofALinearLayer() {
    #expect(count(LayerHarness(layer: linear, inputWidths: [5], outputWidth: 7, rows: rows)) == 3 * rows * 5 * 7)
  }

  /// Those, and as many for each of the two factors of rank 2.
  @Test func ofALowRankLayer() {
    let layer = LowRankLinearLayer(
      linear, input: value("in", 5), output: value("out", 7),
      rank: Space(id: SpaceID("l.rank"), width: 2), scale: 2)
    #expect(
      count(LayerHarness(layer: layer, inputWidths: [5], outputWidth: 7, rows: rows))
        == 3 * rows * (5 * 7 + 2 * 5 + 2 * 7))
  }

  /// Two products forward, five backward, each of tokens × tokens × width of a head for every sample and head.
  @Test func ofAttention() {
    let (heads, width, lengths) = (2, 4, [3, 5])
    let values = (0..<4).map { value("v\($0)", heads * width) }
    let layer = AttentionLayer(
      name: "a", inputs: [0, 1, 2], Array(values[..<3]), to: 3, values[3],
      shape: AttentionShape(heads: heads, groups: heads, headWidth: width, isCausal: false))
    let harness = LayerHarness(
      layer: layer, inputs: Array(values[..<3]), output: values[3], sequences: LayerHarness.layout(lengths))
    #expect(count(harness) == 7 * heads * width * lengths.reduce(0) { $0 + $1 * $1 })
  }

  /// Five times XXᵀ, its square, and the product with X, of a 3 × 8 matrix.
  @Test func ofMuon() {
    let library = CountingProducts()
    let parameter = ParameterSpecification(name: "w", shape: [3, 8], rows: SpaceID("r"), columns: SpaceID("c"))
    let description = OptimizerDescription(
      kind: .muon, learningRate: 1, momentum: 0.9, nesterov: false, weightDecay: 0, clipNorm: nil)
    let (weights, gradient) = (MatrixBuffer<Float>(rows: 3, columns: 8), MatrixBuffer<Float>(rows: 3, columns: 8))
    for index in 0..<24 { gradient.elements[index] = Float(index % 5) - 1 }
    description.makeOptimizer(for: [parameter], Float.self).update(
      0, parameter: weights, gradient: gradient, UpdateSettings(learningRate: 1, clip: 1, step: 0),
      compute: Compute(workers: Workers(threads: 2), library: library))
    #expect(library.count == 5 * (2 * 3 * 3 * 8 + 3 * 3 * 3))
  }
}
