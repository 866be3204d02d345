import ArgumentParser
import Numerics

/// Products by every path that this processor has, beside OpenBLAS, and what one core could reach.
///
/// Shapes are rows × out × in of a linear layer, Y = X Wᵀ. Everything runs on one thread, all in turns; times are of the thread's
/// processor, so that what else runs on the machine counts less.
struct ProductsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "products",
    abstract: "GFLOP/s of one core by path, precision and shape, and their share of the core's peak.",
    discussion: "Operands are float32 in memory; packing and rounding count unless the weights were packed before.")

  struct Result: Encodable {
    let kernel: String
    let path: String
    let cores: [Core]
    let products: [Measurement]
  }

  /// Of one path: registers alone, packed operands in cache, and the ratio.
  struct Core: Encodable {
    let path: String
    let peakGigaflops: Double
    let packedGigaflops: Double
    let share: Double
  }

  struct Measurement: Encodable {
    let rows: Int
    let outputs: Int
    let inputs: Int
    let precision: String
    let path: String
    let weightsPackedBefore: Bool
    /// The median over the rounds, and the best.
    let gigaflops: Double
    let bestGigaflops: Double
  }

  @Flag(help: "Only which path and which kernel this processor has; nothing is measured.") var paths = false
  @Option(help: "Rounds; the median counts.") var rounds: Int = 9
  @Option(help: "Another shape: ROWS,OUT,IN. May be repeated.") var shape: [String] = []

  func validate() throws {
    guard (1...1000).contains(rounds) else { throw ValidationError("--rounds must be 1 … 1000") }
    _ = try shapes()
  }

  /// Those of MiniLM's, BERT-base's and wide layers, and of a small batch.
  private func shapes() throws -> [[Int]] {
    let known = [
      [2048, 384, 384], [2048, 1536, 384], [2048, 384, 1536], [2048, 768, 768], [4096, 384, 384], [1024, 2048, 2048],
      [16, 2048, 2048],
    ]
    return try known
      + shape.map { text in
        let sizes = text.split(separator: ",").compactMap { Int($0) }
        guard sizes.count == 3, sizes.allSatisfy({ (1...16384).contains($0) }) else {
          throw ValidationError("--shape \(text) must be three numbers of 1 … 16384: ROWS,OUT,IN")
        }
        return sizes
      }
  }

  func run() throws {
    let paths = self.paths ? [] : KernelPath.allCases.filter(\.isAvailable)
    let shapes = self.paths ? [] : try shapes()
    let cores = paths.compactMap { path in
      KernelSpeed.measure(path).map {
        Core(path: path.rawValue, peakGigaflops: $0.peak / 1e9, packedGigaflops: $0.packed / 1e9, share: $0.share)
      }
    }
    try Report.write(
      Result(
        kernel: OpenBLAS.kernelName, path: KernelPath.ofThisProcessor.rawValue, cores: cores,
        products: shapes.flatMap { measure($0, paths.filter { $0 != .portable }) }))
  }

  /// One way to compute a product.
  private struct Way {
    let compute: Compute
    let precision: String
    let path: String
    let packed: PackedMatrix?
  }

  private func measure(_ shape: [Int], _ paths: [KernelPath]) -> [Measurement] {
    let (m, n, k) = (shape[0], shape[1], shape[2])
    let operands = LayerOperands(rows: m, outputs: n, inputs: k)
    var ways = [
      Way(compute: Compute(threads: 1), precision: "float32", path: "OpenBLAS \(OpenBLAS.kernelName)", packed: nil)
    ]
    for path in paths {
      let compute = Compute(
        workers: Workers(threads: 1), library: PackedKernels(path: path), precision: .bfloat16)
      for packed in [nil, operands.packed(compute)] {
        ways.append(Way(compute: compute, precision: "bfloat16", path: path.rawValue, packed: packed))
      }
    }
    let operations = 2 * Double(m) * Double(n) * Double(k)
    // About 5 ms at least: the clock of a thread's time is coarser than that of the wall.
    let calls = max(1, Int(1e9 / operations))
    var speeds = Array(repeating: [Double](), count: ways.count)
    for round in 0...rounds {
      for (number, way) in ways.enumerated() {
        let seconds = Timing.threadSeconds {
          for _ in 0..<calls { operands.multiply(way.compute, packed: way.packed) }
        }
        // The first round warms caches and pages.
        if round > 0 { speeds[number].append(operations * Double(calls) / seconds / 1e9) }
      }
    }
    return zip(ways, speeds).map { way, speeds in
      Measurement(
        rows: m, outputs: n, inputs: k, precision: way.precision, path: way.path,
        weightsPackedBefore: way.packed != nil,
        gigaflops: Timing.median(speeds), bestGigaflops: speeds.max() ?? 0)
    }
  }
}

/// A linear layer's matrices: X rows × inputs, W outputs × inputs, Y rows × outputs.
struct LayerOperands {
  private let x: MatrixBuffer<Float>
  private let w: MatrixBuffer<Float>
  private let y: MatrixBuffer<Float>

  init(rows: Int, outputs: Int, inputs: Int) {
    x = MatrixBuffer(rows: rows, columns: inputs)
    w = MatrixBuffer(rows: outputs, columns: inputs)
    y = MatrixBuffer(rows: rows, columns: outputs)
    x.assign(SampleData.uniform([rows, inputs]))
    w.assign(SampleData.uniform([outputs, inputs]))
  }

  func packed(_ compute: Compute) -> PackedMatrix? {
    let packed = compute.packedMatrix(depth: w.columns, columns: w.rows)
    if let packed { compute.pack(w.view, transposed: true, into: packed) }
    return packed
  }

  func multiply(_ compute: Compute, packed: PackedMatrix?) {
    compute.multiplyOnCallingThread(x.view, w.view, transposeB: true, packed: packed, into: y.view)
  }
}
