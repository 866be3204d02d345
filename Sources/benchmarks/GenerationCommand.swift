import Models
import ArgumentParser
import Foundation
import Numerics
import Training

/// Text generation with cached keys and values beside running the whole prefix again for every token.
struct GenerationCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generation",
    abstract: "Tokens generated a second: cached keys and values, one session and several, and without a cache.",
    discussion: """
      The model is a Llama of random weights. The default sizes are those of jobs/prepare/random-llama.py (`make llama`). Without a cache the whole \
      prefix runs again for each token.
      """)

  struct Result: Encodable {
    let threads: Int
    let kernel: String
    let prompt: Int
    let tokens: Int
    /// Without the prompt.
    let tokensPerSecond: Double
    let sessions: Int
    /// Of all sessions together.
    let sessionsTokensPerSecond: Double
    let promptTokensPerSecond: Double
    let wholePrefixTokensPerSecond: Double
    /// Cached over whole prefix, one session.
    let speedup: Double
    let cacheBytesPerSession: Int
  }

  @OptionGroup var measurement: MeasurementOptions
  @Option(help: "Width d.") var width = 64
  @Option(help: "Blocks.") var blocks = 2
  @Option(help: "Attention heads.") var heads = 8
  @Option(help: "Heads of keys and values.") var keyValueHeads = 2
  @Option(help: "Width between the linear layers of a block's MLP.") var hidden = 176
  @Option(help: "Outputs.") var vocabulary = 258
  @Option(help: "Tokens of the prompt.") var prompt = 256
  @Option(help: "Tokens to generate.") var tokens = 64
  @Option(help: "Sessions of the batch.") var sessions = 8

  func validate() throws {
    guard (1...8192).contains(width), (1...256).contains(heads), width.isMultiple(of: 2 * heads),
      (1...heads).contains(keyValueHeads), heads.isMultiple(of: keyValueHeads), (1...64).contains(blocks),
      (1...65536).contains(hidden), (1...1_000_000).contains(vocabulary), (1...65536).contains(prompt),
      (1...4096).contains(tokens), (1...1024).contains(sessions)
    else {
      throw ValidationError(
        "--width must be at most 8192 and an even multiple of --heads, --heads at most 256 and a multiple of --key-value-heads, --blocks 1 … 64, --hidden at most 65536, --vocabulary 1000000, --prompt 65536, --tokens 4096, --sessions 1024"
      )
    }
  }

  func run() throws {
    let compute = measurement.compute
    let graph = try graph()
    let parameters = Model(graph).structure.parameters.map { parameter in
      SampleData.uniform(parameter.shape, scale: (3 / Float(parameter.shape.last ?? 1)).squareRoot())
    }
    let hosted = try HostedModel(graph, compute: compute, parameters: parameters)
    let rows = SampleData.uniform([prompt + tokens, width])
    let figures = try measurement.sample {
      let alone = try generate(hosted, rows, sessions: 1)
      let together = try generate(hosted, rows, sessions: sessions)
      let again = try Timing.seconds {
        for count in prompt + 1...prompt + tokens {
          _ = try hosted.infer(rows: 1, sequences: SequenceLayout(offsets: [0, count], pooled: [])) { target in
            rows.withUnsafeBufferPointer { _ = target.update(fromContentsOf: $0.prefix(count * width)) }
          }
        }
      }
      return [
        Double(tokens) / alone.steps, Double(tokens * sessions) / together.steps, Double(prompt) / alone.prompt,
        Double(tokens) / again,
      ]
    }
    let (single, batched, first, whole) = (figures[0], figures[1], figures[2], figures[3])
    try Report.write(
      Result(
        threads: compute.workers.threads, kernel: OpenBLAS.kernelName, prompt: prompt, tokens: tokens,
        tokensPerSecond: Timing.median(single), sessions: sessions, sessionsTokensPerSecond: Timing.median(batched),
        promptTokensPerSecond: Timing.median(first), wholePrefixTokensPerSecond: Timing.median(whole),
        speedup: Timing.median(zip(single, whole).map { $0 / $1 }),
        cacheBytesPerSession: GenerationCache<Float>.bytesNeeded(graph, tokens: prompt + tokens) ?? 0))
  }

  /// Seconds of the prompts, and of the tokens after them, one at a time.
  private func generate(
    _ hosted: HostedModel<Float>, _ rows: Tensor<Float>, sessions: Int
  ) throws -> (prompt: Double, steps: Double) {
    let caches = try (0..<sessions).map { _ in try hosted.makeCache(capacity: prompt + tokens) }
    let start = rows.slice(rows: 0..<prompt)
    let prompts = try Timing.seconds { _ = try hosted.extend(caches.map { ($0, start) }) }
    let steps = try Timing.seconds {
      for place in prompt..<prompt + tokens {
        let row = rows.slice(rows: place..<place + 1)
        _ = try hosted.extend(caches.map { ($0, row) })
      }
    }
    return (prompts, steps)
  }

  private func graph() throws -> ModelGraph {
    let headWidth = width / heads
    let sizes = try TransformerSizes(
      width: width, heads: heads, keyValueHeads: keyValueHeads, headWidth: headWidth, hidden: hidden,
      activation: .silu, normEpsilon: 1e-5, hasAttentionBiases: false, hasAttentionOutputBias: false,
      hasMLPBiases: false, isRotary: true)
    var builder = GraphBuilder(
      input: sizes.residual, maximumTokens: prompt + tokens,
      rotaryFrequencies: (0..<headWidth / 2).map { pow(10_000, -2 * Double($0) / Double(headWidth)) })
    var stream = GraphBuilder.input
    for block in 0..<blocks {
      let names = PreNormBlockNames(
        pooling: "\(block).pooling", attention: "\(block).attention", gating: "\(block).gating",
        inputNorm: "\(block).norm", query: "\(block).query", key: "\(block).key", value: "\(block).value",
        attentionOutput: "\(block).output", attentionNorm: "\(block).attention.norm", gate: "\(block).gate",
        up: "\(block).up", down: "\(block).down")
      stream = builder.addPreNormGatedBlock(block, names, sizes, from: stream, poolsToken: false)
    }
    stream = builder.addRootMeanSquareNorm("norm", from: stream, epsilon: sizes.normEpsilon)
    builder.addHead("head", from: stream, outputs: vocabulary, hasBias: false, isPretrained: true)
    return try builder.graph()
  }
}
