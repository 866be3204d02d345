import Models
import ArgumentParser
import Foundation
import Numerics
import Training

/// A transformer's training step beside the matrix products in it alone.
///
/// T tokens of a step, d width, h hidden. A BERT block has for the outputs four products T × d by d × d and two with h, as many for
/// the weights' gradients, and for the inputs' (the first block's queries, keys and values need none); and for each
/// sample and head seven products of attention. The products alone run whole on every thread at once.
struct TransformerShareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "transformer-share",
    abstract: "A BERT training step's speed as a share of its matrix products alone on the same threads.",
    discussion: "The default sizes are MiniLM-L6's, 1024 tokens a step.")

  struct Result: Encodable {
    let threads: Int
    let kernel: String
    let tokensPerSecond: Double
    let stepGigaflops: Double
    let productGigaflops: Double
    let share: Double
  }

  @OptionGroup var measurement: MeasurementOptions
  @Flag(help: "Products of the step of bfloat16; those alone stay float32.") var bfloat16 = false
  @Option(help: "Width d.") var width = 384
  @Option(help: "Attention heads.") var heads = 12
  @Option(help: "Width between a block's linear layers.") var hidden = 1536
  @Option(help: "Blocks.") var blocks = 6
  @Option(help: "Samples of a step.") var samples = 8
  @Option(help: "Tokens of a sample.") var tokens = 128

  func validate() throws {
    guard (1...8192).contains(width), (1...256).contains(heads), width % heads == 0, (1...65536).contains(hidden),
      (1...64).contains(blocks), (1...1024).contains(samples), (1...4096).contains(tokens)
    else {
      throw ValidationError(
        "--width must be 1 … 8192 and a multiple of --heads, --hidden at most 65536, --blocks 64, --samples 1024, --tokens 4096"
      )
    }
  }

  func run() throws {
    let compute = measurement.compute
    let engine = try engine(bfloat16 ? measurement.compute(.bfloat16) : compute)
    let rows = SampleData.uniform([samples * tokens, width])
    let gradient = SampleData.uniform([samples, 2], scale: 1e-3)
    let layout = SequenceLayout(offsets: (0...samples).map { $0 * tokens }, pooled: [])
    let products = products
    let alone = (0..<compute.workers.threads).map { _ in BareProducts(products) }
    let operations = products.reduce(0) { $0 + $1.operations }
    let figures = try measurement.sample {
      let step = try Timing.seconds {
        try engine.beginBatch(rows: samples)
        _ = try engine.forward(rows: 0..<samples, sequences: layout) { target in
          rows.withUnsafeBufferPointer { _ = target.update(fromContentsOf: $0) }
        }
        try engine.setOutputGradient(gradient, rows: 0..<samples)
        _ = try engine.finishStep()
      }
      let product = Timing.seconds {
        compute.workers.perform(pieces: compute.workers.threads) { alone[$0].multiply(compute) }
      }
      return [step, product / Double(compute.workers.threads)]
    }
    let (stepTimes, productTimes) = (figures[0], figures[1])
    try Report.write(
      Result(
        threads: compute.workers.threads, kernel: OpenBLAS.kernelName,
        tokensPerSecond: Double(samples * tokens) / Timing.median(stepTimes),
        stepGigaflops: operations / Timing.median(stepTimes) / 1e9,
        productGigaflops: operations / Timing.median(productTimes) / 1e9,
        share: Timing.median(zip(stepTimes, productTimes).map { $1 / $0 })))
  }

  private func engine(_ compute: Compute) throws -> TrainingEngine<Float> {
    let graph = try graph()
    let parameters = Model(graph).structure.parameters.map { parameter in
      // Gains near 1, everything else small.
      parameter.name.hasSuffix("LayerNorm.weight")
        ? Tensor<Float>(repeating: 1, shape: parameter.shape)
        : SampleData.uniform(parameter.shape, scale: 1 / Float(width).squareRoot())
    }
    return try TrainingEngine(
      model: graph,
      optimizer: OptimizerDescription(
        kind: .sgd, learningRate: 1e-4, momentum: 0.9, nesterov: false, weightDecay: 0, clipNorm: 1),
      schedule: ScheduleDescription(warmup: 0, decay: .none), totalSteps: 1_000_000, batchRows: samples,
      compute: compute, parameters: parameters)
  }

  /// An encoder with the mean of its tokens and two outputs.
  private func graph() throws -> ModelGraph {
    let sizes = try TransformerSizes(
      width: width, heads: heads, keyValueHeads: heads, headWidth: width / heads, hidden: hidden, activation: .gelu,
      normEpsilon: 1e-12, hasAttentionBiases: true, hasAttentionOutputBias: true, hasMLPBiases: true, isRotary: false)
    var builder = GraphBuilder(input: sizes.residual, maximumTokens: tokens)
    var stream = GraphBuilder.input
    for block in 0..<blocks {
      let names = PostNormBlockNames(
        pooling: "\(block).pooling", attention: "\(block).attention", query: "\(block).query", key: "\(block).key",
        value: "\(block).value", attentionOutput: "\(block).context", attentionNorm: "\(block).attention.LayerNorm",
        inner: "\(block).inner", outer: "\(block).outer", outputNorm: "\(block).LayerNorm")
      stream = builder.addPostNormBlock(block, names, sizes, from: stream, poolsToken: false)
    }
    stream = builder.add("pooling", .mean(PoolingOperation(from: stream)))
    builder.addHead("classifier", from: stream, outputs: 2, hasBias: true)
    return try builder.graph()
  }

  private var products: [BareProducts.Product] {
    let rows = samples * tokens
    func product(_ transposeA: Bool, _ transposeB: Bool, _ m: Int, _ n: Int, _ k: Int, _ count: Int)
      -> BareProducts.Product
    {
      BareProducts.Product(transposeA: transposeA, transposeB: transposeB, m: m, n: n, k: k, count: count)
    }
    let pairs = blocks * samples * heads
    let headWidth = width / heads
    var products: [BareProducts.Product] = []
    // Outputs × inputs of a block's layers, how many there are, and how many of them have an input gradient.
    for (outputs, inputs, count, passing) in [
      (width, width, 4 * blocks, 4 * blocks - 3), (hidden, width, blocks, blocks), (width, hidden, blocks, blocks),
    ] {
      products.append(product(false, true, rows, outputs, inputs, count))
      products.append(product(true, false, outputs, inputs, rows, count))
      products.append(product(false, false, rows, inputs, outputs, passing))
    }
    // Scores (twice) and their gradients; then context and queries' gradients; then keys' and values' gradients.
    products.append(product(false, true, tokens, tokens, headWidth, 3 * pairs))
    products.append(product(false, false, tokens, headWidth, tokens, 2 * pairs))
    products.append(product(true, false, tokens, headWidth, tokens, 2 * pairs))
    return products
  }
}
