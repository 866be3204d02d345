import Training
import ArgumentParser
import Synchronization
import Tensors
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
    let workers = measurement.workers
    let setup = TrainingSetup(
      features: width - 1, padding: 0, hidden: Array(repeating: width, count: layers - 1), outputs: width, batch: batch)
    let engine = try setup.engine(workers)
    let rows = SampleData.uniform([batch, width])
    let gradient = SampleData.uniform([batch, width], scale: 1e-3)
    let products = (0..<workers.threads).map { _ in ProductOperands(rows: batch, width: width) }
    let work = 2 * Double(batch) * Double(width) * Double(width)
    var steps: [Double] = []
    var alone: [Double] = []
    for round in 0...measurement.rounds {
      let step = try Timing.seconds {
        try engine.beginBatch(rows: batch)
        _ = try engine.forward(rows: 0..<batch) { target in
          rows.withUnsafeBufferPointer { _ = target.update(fromContentsOf: $0) }
        }
        try engine.setOutputGradient(gradient, rows: 0..<batch)
        _ = try engine.finishStep()
      }
      let product = Timing.seconds {
        workers.perform(pieces: workers.threads) { products[$0].multiply() }
      }
      // The first round warms caches, pages and clocks.
      if round > 0 {
        steps.append(work * Double(3 * layers - 1) / step / 1e9)
        alone.append(work * Double(ProductOperands.products * workers.threads) / product / 1e9)
      }
    }
    try Report.write(
      Result(
        threads: workers.threads, kernel: OpenBLAS.kernelName, stepGigaflops: Timing.median(steps),
        productGigaflops: Timing.median(alone), share: Timing.median(zip(steps, alone).map { $0 / $1 }),
        stepSeconds: work * Double(3 * layers - 1) / Timing.median(steps) / 1e9))
  }
}
