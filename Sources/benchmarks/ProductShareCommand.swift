import ArgumentParser
import Synchronization
import Numerics
import Training

/// A training step of the model beside the matrix products in it alone.
///
/// Shapes: B rows a batch, N = width of all layers. A step of L layers has L products for the outputs (B × N by N × N), L for the
/// weights' gradients (N × B by B × N) and L − 1 for the inputs' gradients, each of 2·B·N² operations. The products alone run
/// whole on every thread at once, each thread on matrices of its own: BLAS at its best, without cutting or waiting.
struct ProductShareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "product-share",
    abstract: "A training step's speed as a share of cblas_sgemm alone on the same threads.")

  struct Result: Encodable {
    let threads: Int
    let kernel: String
    let stepGigaflops: Double
    let productGigaflops: Double
    let share: Double
    let stepSeconds: Double
  }

  @OptionGroup var measurement: MeasurementOptions
  @Option(help: "Width of all layers.") var width = 2048
  @Option(help: "Rows of a batch.") var batch = 1024
  @Option(help: "Layers.") var layers = 4

  func validate() throws {
    guard (2...16384).contains(width), (1...65536).contains(batch), (1...64).contains(layers) else {
      throw ValidationError("--width must be 2 … 16384, --batch 1 … 65536, --layers 1 … 64")
    }
  }

  func run() throws {
    let compute = measurement.compute
    let setup = try TrainingSetup(
      features: width - 1, padding: 0, hidden: Array(repeating: width, count: layers - 1), outputs: width, batch: batch)
    let engine = try setup.engine(compute)
    let rows = SampleData.uniform([batch, width])
    let gradient = SampleData.uniform([batch, width], scale: 1e-3)
    let products = (0..<compute.workers.threads).map { _ in ProductOperands(rows: batch, width: width) }
    let work = 2 * Double(batch) * Double(width) * Double(width)
    let figures = try measurement.sample {
      let step = try Timing.seconds {
        try engine.beginBatch(rows: batch)
        _ = try engine.forward(rows: 0..<batch) { target in
          rows.withUnsafeBufferPointer { _ = target.update(fromContentsOf: $0) }
        }
        try engine.setOutputGradient(gradient, rows: 0..<batch)
        _ = try engine.finishStep()
      }
      let product = Timing.seconds {
        compute.workers.perform(pieces: compute.workers.threads) { products[$0].multiply(compute) }
      }
      return [
        work * Double(3 * layers - 1) / step / 1e9,
        work * Double(ProductOperands.products * compute.workers.threads) / product / 1e9,
      ]
    }
    let (steps, alone) = (figures[0], figures[1])
    try Report.write(
      Result(
        threads: compute.workers.threads, kernel: OpenBLAS.kernelName, stepGigaflops: Timing.median(steps),
        productGigaflops: Timing.median(alone), share: Timing.median(zip(steps, alone).map { $0 / $1 }),
        stepSeconds: work * Double(3 * layers - 1) / Timing.median(steps) / 1e9))
  }
}

/// Matrices of one thread for the three products of a layer's step.
///
/// `@unchecked Sendable`: each object is used by one thread at a time, as `Workers.perform` hands out its pieces.
final class ProductOperands: @unchecked Sendable {
  static let products = 3

  private let rows: Int
  private let width: Int
  private let input: Tensor<Float>
  private let weight: Tensor<Float>
  private var output: Tensor<Float>
  private var weightGradient: Tensor<Float>

  init(rows: Int, width: Int) {
    self.rows = rows
    self.width = width
    input = SampleData.uniform([rows, width])
    weight = SampleData.uniform([width, width])
    output = Tensor(zeros: [rows, width])
    weightGradient = Tensor(zeros: [width, width])
  }

  /// X Wᵀ (outputs), Gᵀ X (weight gradient), G W (input gradient): one `cblas_sgemm` call each, on the calling thread.
  func multiply(_ compute: Compute) {
    input.withUnsafeBufferPointer { x in
      weight.withUnsafeBufferPointer { w in
        output.withUnsafeMutableBufferPointer { y in
          weightGradient.withUnsafeMutableBufferPointer { g in
            guard let x = x.baseAddress, let w = w.baseAddress, let y = y.baseAddress, let g = g.baseAddress else {
              return
            }
            let inputs = MatrixView(reading: x, rows: rows, columns: width)
            let weights = MatrixView(reading: w, rows: width, columns: width)
            let outputs = MatrixView(y, rows: rows, columns: width)
            compute.multiplyOnCallingThread(inputs, weights, transposeB: true, into: outputs)
            compute.multiplyOnCallingThread(
              inputs, transposeA: true, inputs, into: MatrixView(g, rows: width, columns: width))
            compute.multiplyOnCallingThread(inputs, weights, into: outputs)
          }
        }
      }
    }
  }
}

/// The matrix products of a model's step, and memory of one thread to compute them alone.
///
/// `@unchecked Sendable`: each object is used by one thread at a time, as `Workers.perform` hands out its pieces.
final class BareProducts: @unchecked Sendable {
  /// C (m × n) = op(A) op(B), `count` times.
  struct Product {
    let transposeA: Bool
    let transposeB: Bool
    let m: Int
    let n: Int
    let k: Int
    let count: Int

    var operations: Double { 2 * Double(m) * Double(n) * Double(k) * Double(count) }
  }

  private let products: [Product]
  private var a: Tensor<Float>
  private var b: Tensor<Float>
  private var c: Tensor<Float>

  init(_ products: [Product]) {
    self.products = products
    a = SampleData.uniform([products.map { $0.m * $0.k }.max() ?? 1])
    b = SampleData.uniform([products.map { $0.n * $0.k }.max() ?? 1])
    c = Tensor(zeros: [products.map { $0.m * $0.n }.max() ?? 1])
  }

  /// All of them, each a whole call on the calling thread.
  func multiply(_ compute: Compute) {
    a.withUnsafeBufferPointer { a in
      b.withUnsafeBufferPointer { b in
        c.withUnsafeMutableBufferPointer { c in
          guard let a = a.baseAddress, let b = b.baseAddress, let c = c.baseAddress else { return }
          for product in products {
            for _ in 0..<product.count {
              compute.multiplyOnCallingThread(
                MatrixView(
                  reading: a, rows: product.transposeA ? product.k : product.m,
                  columns: product.transposeA ? product.m : product.k), transposeA: product.transposeA,
                MatrixView(
                  reading: b, rows: product.transposeB ? product.n : product.k,
                  columns: product.transposeB ? product.k : product.n), transposeB: product.transposeB,
                into: MatrixView(c, rows: product.m, columns: product.n))
            }
          }
        }
      }
    }
  }
}
