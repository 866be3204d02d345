import Models
import Numerics
import Protocol
import Testing

@testable import Training

/// Which values of a model stay in single precision where activations are kept in 16 bits.
@Suite struct ActivationFormatsTests {
  private func names(_ name: String) throws -> (full: Set<String>, narrow: Set<String>) {
    let model = Model(try BFloat16Fixture.read.get().graph(name))
    // By the layer that writes them.
    let written = ["input"] + model.layers.map(\.name)
    let values = Array(zip(written, model.formats.isFull))
    return (Set(values.filter(\.1).map(\.0)), Set(values.filter { !$0.1 }.map(\.0)))
  }

  /// The stream with the norms that stand in it; what products alone read is narrow: the last norm's result, too.
  @Test func ofAnEncoder() throws {
    let (full, narrow) = try names("bert")
    let layers = "bert.encoder.layer"
    #expect(
      full
        == Set(
          ["input", "\(layers).0.attention.output.dense", "\(layers).0.attention.output.LayerNorm"]
            + ["\(layers).0.output.dense", "\(layers).0.output.LayerNorm", "\(layers).1.attention.output.dense"]
            + ["\(layers).1.attention.output.LayerNorm", "\(layers).1.output.dense"]
            + full.filter { $0.contains("pool") && !$0.contains("pooler") }))
    #expect(narrow.isSuperset(of: ["\(layers).1.output.LayerNorm", "\(layers).0.intermediate.dense", "classifier"]))
    #expect(narrow.contains { $0.contains("query") } && !full.contains { $0.contains("query") })
  }

  /// Norms are read by products alone.
  @Test func ofADecoder() throws {
    let (full, narrow) = try names("llama")
    #expect(full.isSuperset(of: ["input", "model.layers.0.self_attn.o_proj", "model.layers.0.mlp.down_proj"]))
    #expect(narrow.isSuperset(of: ["model.layers.0.input_layernorm", "model.norm", "score"]))
    #expect(!full.contains { $0.contains("norm") })
  }

  @Test func ofRows() throws {
    let graph = try ModelGraph.perceptron(
      input: HomogeneousColumns(features: 3, padding: 0), hidden: [4], activation: .gelu, outputs: 2)
    #expect(!Model(graph).formats.isFull.contains(true))
  }

  /// MiniLM, 32 × 128 tokens, all weights trained: what stays in floats makes the activations that a part keeps a quarter larger than if all were of
  /// 16 bits, and leaves them below two thirds of those of single precision.
  @Test func whatItTakesOfAnEncodersMemory() throws {
    let graph = try ModelDescription.transformer(
      TransformerDescription(
        family: .bert, width: 384, blocks: 6, heads: 12, keyValueHeads: 12, headWidth: 32, hidden: 1536,
        activation: .gelu, normEpsilon: 1e-12, rotary: nil, hasAttentionBiases: true, hasMLPBiases: true,
        head: TransformerHead(
          pooling: .cls, hasPooler: true, outputs: 5, hasBias: true, isLanguageModel: false),
        trained: .all, maximumTokens: 128, recomputes: false)
    ).graph()
    let optimizer = OptimizerDescription(
      kind: .adamw, learningRate: 1e-4, momentum: 0, nesterov: false, weightDecay: 0, clipNorm: nil)
    let settings = try EngineSettings(Model(graph), optimizer: optimizer, batchRows: 32, partRows: 32)
    let shapes = settings.plan(Self.narrow).partShapes
    let rows = try #require(settings.largestPart)
    let mixed = try #require(rows.byteCount(shapes, BFloat16.self))
    let wide = try #require(rows.byteCount(shapes.filter { $0.isFull && $0.columns == 384 }, BFloat16.self))
    let allNarrow = mixed - wide / 2
    let single = try #require(rows.byteCount(settings.plan().partShapes, Float.self))
    #expect(wide > 0 && Double(mixed) <= 1.26 * Double(allNarrow) && Double(mixed) <= 0.65 * Double(single))
  }

  private static let narrow = ActivationStorage(
    Compute(workers: Workers(threads: 1), precision: .bfloat16), Float.self)

  /// A wish goes on to all that must be stored alike, and where one of them cannot be full none is.
  @Test func wishesAndWhatCannotBe() {
    func full(_ rules: [FormatRule]) -> [Int] {
      ActivationFormats(values: 6, rules).isFull.enumerated().filter(\.element).map(\.offset)
    }
    #expect(full([.full(2), .alike(1, 0), .alike(2, 1)]) == [0, 1, 2])
    #expect(full([.full(2), .alike(1, 0), .alike(2, 1), .narrow(0)]) == [])
    // A norm of 3, read from 2; and one of 5, whose argument is needed in 16 bits by someone else.
    #expect(full([.full(3), .notNarrower(2, than: 3)]) == [2, 3])
    #expect(full([.full(2), .notNarrower(2, than: 3)]) == [2])
    #expect(full([.full(5), .notNarrower(4, than: 5), .narrow(4)]) == [])
    #expect(full([.narrow(0)]) == [])
  }
}
