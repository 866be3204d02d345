import Foundation
import Models
import Testing

/// Graphs that only a forged owner would send, each wrong in one place, are refused by name; the graph they are made from is taken.
@Suite struct GraphValidationTests {
  /// What a graph is made of, to be spoilt.
  struct Parts: Sendable {
    var spaces: [Space]
    var maximumTokens: Int?
    var frequencies: [Double] = []
    var layers: [GraphLayer]
    var blocks: [Range<Int>] = []

    func graph() throws -> ModelGraph {
      try ModelGraph(
        spaces: spaces, maximumTokens: maximumTokens, rotaryFrequencies: frequencies, layers: layers,
        recomputedBlocks: blocks)
    }

    func with(_ change: (inout Parts) -> Void) -> Parts {
      var parts = self
      change(&parts)
      return parts
    }

    mutating func replace(_ layer: Int, _ operation: LayerOperation) {
      layers[layer] = GraphLayer(layers[layer].name, operation)
    }
  }

  private static func space(_ name: String, _ width: Int, _ form: SpaceForm = .whole) -> Space {
    Space(id: SpaceID(name), width: width, form: form)
  }

  private static func linear(
    _ from: Int, _ to: String, activation: Activation? = nil, residual: Int? = nil,
    parameters: LinearParameters = LinearParameters(), lowRank: LowRankAddition? = nil
  ) -> LayerOperation {
    .linear(
      LinearOperation(
        from: from, to: SpaceID(to), activation: activation, residual: residual, parameters: parameters,
        lowRank: lowRank))
  }

  /// 3 features, a hidden layer of 5, 2 outputs.
  static let rows = Parts(
    spaces: [
      Space(id: SpaceID("input"), width: 5, homogeneous: HomogeneousColumns(features: 3, padding: 1)),
      space("hidden", 5), space("output", 2),
    ],
    layers: [
      GraphLayer("layers.0", linear(0, "hidden", activation: .relu)), GraphLayer("layers.1", linear(1, "output")),
    ])

  private static func heads(_ heads: Int, _ rotation: String, rotary: Bool = false) -> SpaceForm {
    .heads(
      HeadsForm(attention: "a", rotation: rotation, heads: heads, groups: 2, headWidth: 2, isRotary: rotary))
  }

  /// Attention with rotary positions and a gated product on tokens of width 8, one token of each sample pooled; 3 outputs.
  static let tokens = Parts(
    spaces: [
      space("residual", 8), space("query", 8, heads(4, "qk", rotary: true)),
      space("key", 4, heads(2, "qk", rotary: true)), space("value", 4, heads(2, "vo")),
      space("context", 8, heads(4, "vo")), space("q.rank", 2), space("gate", 6),
      space("up", 6, .sameOrder(as: "gate")), space("output", 3),
    ], maximumTokens: 9, frequencies: [0.7],
    layers: [
      GraphLayer("norm", .rootMeanSquareNorm(RootMeanSquareNormOperation(from: 0, epsilon: 1e-6))),
      GraphLayer("q", linear(1, "query", lowRank: LowRankAddition(rank: SpaceID("q.rank"), scale: 2))),
      GraphLayer("attention", .rotary(RotaryOperation(from: 2))),
      GraphLayer("k", linear(1, "key")),
      GraphLayer("attention", .rotary(RotaryOperation(from: 4))),
      GraphLayer("v", linear(1, "value")),
      GraphLayer(
        "attention", .attention(AttentionOperation(query: 3, key: 5, value: 6, to: SpaceID("context"), isCausal: true))),
      GraphLayer("o", linear(7, "residual", residual: 0)),
      GraphLayer("gain", .layerNorm(LayerNormOperation(from: 8, epsilon: 1e-6, isTrained: true))),
      GraphLayer("gate", linear(9, "gate")),
      GraphLayer("up", linear(9, "up")),
      GraphLayer("product", .gate(GateOperation(gate: 10, up: 11))),
      GraphLayer("down", linear(12, "residual", residual: 9)),
      GraphLayer("pooling", .selection(PoolingOperation(from: 13))),
      GraphLayer("head", linear(14, "output")),
    ], blocks: [0..<8, 8..<13])

  @Test(arguments: [rows, tokens]) func whatIsRightIsTakenAndReadBack(_ parts: Parts) throws {
    let graph = try parts.graph()
    #expect(graph.values.count == parts.layers.count + 1)
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let data = try encoder.encode(graph)
    let again = try JSONDecoder().decode(ModelGraph.self, from: data)
    #expect(again == graph)
    #expect(try encoder.encode(again) == data)
  }

  @Test func widthsAndRowsFollowFromSpacesAndLayers() throws {
    let graph = try Self.tokens.graph()
    #expect(graph.values.map(\.width) == [8, 8, 8, 8, 4, 4, 4, 8, 8, 8, 6, 6, 6, 8, 8, 3])
    #expect(graph.values.map(\.domain) == Array(repeating: .tokens, count: 14) + [.samples, .samples])
    #expect(graph.input.space == SpaceID("residual") && graph.output.space == SpaceID("output"))
    #expect(graph.needsPooledTokens && !graph.hasOutputsByToken)
    #expect(try Self.rows.graph().values.map(\.domain) == [.samples, .samples, .samples])
  }

  /// Without a layer that reads the pooled token none is asked for; rows that a mean left behind have positions of a pooled token.
  @Test func whatReadsThePooledToken() throws {
    let mean = Self.tokens.with { $0.replace(13, .mean(PoolingOperation(from: 13))) }
    #expect(try !mean.graph().needsPooledTokens)
    // Queries of one row a sample, from a mean.
    let asked = Self.tokens.with {
      $0.layers.insert(GraphLayer("early", .mean(PoolingOperation(from: 1))), at: 1)
      $0.layers =
        Array($0.layers.prefix(2)) + [
          GraphLayer("q", Self.linear(2, "query", lowRank: LowRankAddition(rank: SpaceID("q.rank"), scale: 2))),
          GraphLayer("attention", .rotary(RotaryOperation(from: 3))), GraphLayer("k", Self.linear(1, "key")),
          GraphLayer("v", Self.linear(1, "value")),
          GraphLayer(
            "attention",
            .attention(AttentionOperation(query: 4, key: 5, value: 6, to: SpaceID("context"), isCausal: false))),
          GraphLayer("head", Self.linear(7, "output")),
        ]
      $0.spaces.removeAll { ["gate", "up"].contains($0.id.name) }
      $0.blocks = []
    }
    #expect(try asked.graph().needsPooledTokens)
  }

  typealias Spoilt = (Parts, GraphError)

  private static func layer(_ name: String, _ problem: LayerProblem) -> GraphError {
    .layer(name, problem: problem)
  }

  private static let spaceFaults: [Spoilt] = [
    (rows.with { $0.spaces = [] }, .outOfRange("spaces", value: 0, allowed: 1...(1 << 15) + 1)),
    (rows.with { $0.spaces[1] = space("hidden", 0) }, .outOfRange("width of hidden", value: 0, allowed: 1...1 << 24)),
    (
      rows.with { $0.spaces[1] = space("hidden", .max) },
      .outOfRange("width of hidden", value: .max, allowed: 1...1 << 24)
    ),
    (rows.with { $0.spaces[1] = space("", 5) }, .badName("")),
    (rows.with { $0.spaces[1] = space("a\nb", 5) }, .badName("a\\nb")),
    (
      rows.with { $0.spaces[1] = space(String(repeating: "x", count: 201), 5) },
      .badName(String(repeating: "x", count: 79) + "…")
    ),
    (rows.with { $0.spaces.append(space("output", 2)) }, .repeated("output")),
    (rows.with { $0.spaces.append(space("more", 2)) }, .unusedSpace("more")),
    (rows.with { $0.spaces.remove(at: 1) }, .unknownSpace("hidden")),
    (
      rows.with {
        $0.spaces[0] = Space(
          id: SpaceID("input"), width: 6, homogeneous: HomogeneousColumns(features: 3, padding: 1))
      }, .spaceForm("input", problem: "its width is not that of its homogeneous coordinates")
    ),
    (
      rows.with {
        $0.spaces[0] = Space(
          id: SpaceID("input"), width: 6, homogeneous: HomogeneousColumns(features: .max, padding: 1))
      }, .outOfRange("features", value: .max, allowed: 1...1 << 24)
    ),
    (
      rows.with {
        $0.spaces[0] = Space(
          id: SpaceID("input"), width: 6, homogeneous: HomogeneousColumns(features: 3, padding: -1))
      }, .outOfRange("padding", value: -1, allowed: 0...4096)
    ),
    (
      rows.with {
        $0.spaces[1] = Space(
          id: SpaceID("hidden"), width: 5, homogeneous: HomogeneousColumns(features: 3, padding: 1))
      }, .spaceForm("hidden", problem: "only the input is in homogeneous coordinates")
    ),
    (
      tokens.with { $0.spaces[1] = space("query", 6, heads(4, "qk")) },
      .spaceForm("query", problem: "4 heads of width 2 are not 6")
    ),
    (
      tokens.with { $0.spaces[1] = space("query", 6, heads(3, "qk")) },
      .spaceForm("query", problem: "3 heads are not a multiple of 2 groups")
    ),
    (
      tokens.with { $0.spaces[1] = space("query", 8, heads(.max, "qk")) },
      .outOfRange("heads of query", value: .max, allowed: 1...4096)
    ),
    (
      tokens.with { $0.spaces[1] = space("query", 8, heads(1, "qk")) },
      .outOfRange("groups of query", value: 2, allowed: 1...1)
    ),
    (
      tokens.with {
        $0.spaces[1] = space(
          "query", 12,
          .heads(HeadsForm(attention: "a", rotation: "qk", heads: 4, groups: 2, headWidth: 3, isRotary: true)))
      }, .spaceForm("query", problem: "a head of odd width has no planes")
    ),
    (tokens.with { $0.spaces[7] = space("up", 6, .sameOrder(as: "none")) }, .unknownSpace("none")),
    (
      tokens.with { $0.spaces[7] = space("up", 5, .sameOrder(as: "gate")) },
      .spaceForm("up", problem: "gate has no order for it to follow")
    ),
    (
      tokens.with { $0.spaces[7] = space("up", 8, .sameOrder(as: "query")) },
      .spaceForm("up", problem: "query has no order for it to follow")
    ),
  ]

  private static let layerFaults: [Spoilt] = [
    (rows.with { $0.layers = [] }, .outOfRange("layers", value: 0, allowed: 1...1 << 14)),
    (
      rows.with { $0.layers = Array(repeating: $0.layers[1], count: 1 << 14 + 1) },
      .outOfRange("layers", value: 1 << 14 + 1, allowed: 1...1 << 14)
    ),
    (rows.with { $0.layers[1] = GraphLayer("\u{1B}[2J", linear(1, "output")) }, .badName("\\u{1B}[2J")),
    (rows.with { $0.layers[1] = GraphLayer("layers.0", linear(1, "output")) }, .repeated("layers.0.weight")),
    (tokens.with { $0.layers[3] = GraphLayer("q.lora_A", linear(1, "key")) }, .repeated("q.lora_A.weight")),
    (rows.with { $0.replace(0, linear(1, "hidden")) }, layer("layers.0", .valueNotWritten(1))),
    (rows.with { $0.replace(0, linear(-1, "hidden")) }, layer("layers.0", .valueNotWritten(-1))),
    (rows.with { $0.replace(0, linear(.max, "hidden")) }, layer("layers.0", .valueNotWritten(.max))),
    (tokens.with { $0.replace(7, linear(7, "residual", residual: 8)) }, layer("o", .valueNotWritten(8))),
    (tokens.with { $0.replace(7, linear(0, "residual", residual: 0)) }, layer("o", .readsTwice(0))),
    (
      tokens.with {
        $0.replace(
          6, .attention(AttentionOperation(query: 3, key: 5, value: 5, to: SpaceID("context"), isCausal: true)))
      }, layer("attention", .readsTwice(5))
    ),
    (tokens.with { $0.replace(11, .gate(GateOperation(gate: 10, up: 10))) }, layer("product", .readsTwice(10))),
    (
      tokens.with { $0.replace(7, linear(7, "residual", activation: .relu, residual: 0)) },
      layer("o", .residualBehindActivation)
    ),
    (tokens.with { $0.replace(7, linear(7, "residual", residual: 3)) }, layer("o", .residualOfAnotherShape)),
    (
      tokens.with { $0.replace(14, linear(14, "residual", residual: 0)) }, layer("head", .residualOfAnotherShape)
    ),
    (
      rows.with { $0.replace(0, .layerNorm(LayerNormOperation(from: 0, epsilon: 1, isTrained: true))) },
      layer("layers.0", .homogeneousInput)
    ),
    (
      rows.with { $0.replace(0, linear(0, "hidden", parameters: LinearParameters(hasBias: false))) },
      layer("layers.0", .homogeneousParameters)
    ),
    (
      rows.with { $0.replace(0, linear(0, "hidden", lowRank: LowRankAddition(rank: SpaceID("output"), scale: 1))) },
      layer("layers.0", .homogeneousParameters)
    ),
    (rows.with { $0.replace(1, linear(1, "input")) }, layer("layers.1", .homogeneousOutput)),
    (rows.with { $0.replace(1, .mean(PoolingOperation(from: 1))) }, layer("layers.1", .needsTokens)),
    (rows.with { $0.replace(1, .selection(PoolingOperation(from: 1))) }, layer("layers.1", .needsTokens)),
    (tokens.with { $0.replace(14, .mean(PoolingOperation(from: 14))) }, layer("head", .needsTokens)),
    (
      tokens.with {
        $0.maximumTokens = nil
        $0.frequencies = []
      }, layer("attention", .needsTokens)
    ),
    (tokens.with { $0.replace(2, .rotary(RotaryOperation(from: 1))) }, layer("attention", .needsRotaryHeads)),
    (
      tokens.with { $0.spaces[1] = space("query", 8, heads(4, "qk")) }, layer("attention", .needsRotaryHeads)
    ),
    (
      tokens.with { $0.spaces[3] = space("value", 4) }, layer("attention", .headsDiffer)
    ),
    (
      tokens.with { $0.spaces[4] = space("context", 8, heads(4, "other")) }, layer("attention", .headsDiffer)
    ),
    (
      tokens.with { $0.spaces[3] = space("value", 8, heads(4, "vo")) }, layer("attention", .headsDiffer)
    ),
    (
      tokens.with {
        $0.replace(
          6, .attention(AttentionOperation(query: 3, key: 5, value: 6, to: SpaceID("query"), isCausal: true)))
      }, layer("attention", .headsDiffer)
    ),
    (tokens.with { $0.spaces[7] = space("up", 6) }, layer("product", .gateDiffers)),
    (tokens.with { $0.replace(11, .gate(GateOperation(gate: 9, up: 11))) }, layer("product", .gateDiffers)),
    (rows.with { $0.replace(1, linear(0, "output")) }, .unusedValue(of: "the output of layers.0")),
    (
      tokens.with {
        $0.replace(12, linear(12, "residual"))
        $0.layers.insert(GraphLayer("pair", linear(9, "gate")), at: 13)
        $0.blocks = []
      }, .unusedValue(of: "the output of pooling")
    ),
  ]

  private static let numberFaults: [Spoilt] = [
    (tokens.with { $0.maximumTokens = 0 }, .outOfRange("tokens of a sample", value: 0, allowed: 1...1 << 20)),
    (tokens.with { $0.maximumTokens = .max }, .outOfRange("tokens of a sample", value: .max, allowed: 1...1 << 20)),
    (tokens.with { $0.frequencies = [.nan] }, .rotaryFrequencies("must be finite numbers")),
    (tokens.with { $0.frequencies = Array(repeating: 1, count: 2049) }, .rotaryFrequencies("must be at most 2048")),
    (
      tokens.with { $0.frequencies = [1, 2] },
      .rotaryFrequencies("are 2, and the heads of attention are 2 wide")
    ),
    (tokens.with { $0.frequencies = [] }, .rotaryFrequencies("are 0, and the heads of attention are 2 wide")),
    (
      tokens.with { $0.replace(0, .rootMeanSquareNorm(RootMeanSquareNormOperation(from: 0, epsilon: 0))) },
      .badNumber("epsilon of norm")
    ),
    (
      tokens.with { $0.replace(8, .layerNorm(LayerNormOperation(from: 8, epsilon: .infinity, isTrained: true))) },
      .badNumber("epsilon of gain")
    ),
    (
      tokens.with {
        $0.replace(1, linear(1, "query", lowRank: LowRankAddition(rank: SpaceID("q.rank"), scale: .nan)))
      }, .badNumber("scale of q")
    ),
    (
      rows.with {
        $0.replace(1, linear(1, "output", parameters: LinearParameters(weightOrigin: .normal(deviation: -1))))
      },
      .badNumber("deviation of layers.1")
    ),
    (
      rows.with {
        $0.spaces[1] = space("hidden", 1 << 24)
        $0.spaces[2] = space("output", 1 << 24)
      }, .tooManyParameters(limit: 1 << 40)
    ),
    (
      tokens.with {
        $0.spaces[0] = space("residual", 1 << 24)
        $0.spaces[5] = space("q.rank", 1 << 24)
      }, .tooManyParameters(limit: 1 << 40)
    ),
    (tokens.with { $0.blocks = [0..<0] }, .blocks),
    (tokens.with { $0.blocks = [0..<3, 2..<5] }, .blocks),
    (tokens.with { $0.blocks = [4..<5, 0..<2] }, .blocks),
    (tokens.with { $0.blocks = [3..<16] }, .blocks),
    (tokens.with { $0.blocks = [-1..<2] }, .blocks),
  ]

  @Test(arguments: (spaceFaults + layerFaults + numberFaults).indices)
  func whatIsWrongInOnePlaceIsRefusedByName(_ index: Int) {
    let (parts, error) = (Self.spaceFaults + Self.layerFaults + Self.numberFaults)[index]
    #expect(throws: error) { try parts.graph() }
    #expect(error.description.unicodeScalars.allSatisfy { $0.value >= 0x20 })
  }

  /// Frequencies that no layer reads would only cost memory.
  @Test func frequenciesWithoutARotaryLayer() {
    let parts = Self.rows.with {
      $0.maximumTokens = 4
      $0.frequencies = [1]
    }
    #expect(throws: GraphError.rotaryFrequencies("are there, and no layer is rotary")) { try parts.graph() }
  }

  /// What is read from a document is checked as well, and keeps its reason.
  @Test func aSpoiltDocumentIsRefusedByName() throws {
    let text = String(decoding: try JSONEncoder().encode(Self.rows.graph()), as: UTF8.self)
    let spoilt = text.replacingOccurrences(of: "\"from\":1", with: "\"from\":7")
    #expect(spoilt != text)
    #expect(throws: GraphError.layer("layers.1", problem: .valueNotWritten(7))) {
      try JSONDecoder().decode(ModelGraph.self, from: Data(spoilt.utf8))
    }
    for (old, new) in [("\"linear\"", "\"fourier\""), ("\"relu\"", "\"sine\""), ("\"width\":2", "\"width\":2.5")] {
      let other = text.replacingOccurrences(of: old, with: new)
      #expect(other != text)
      #expect(throws: DecodingError.self) { try JSONDecoder().decode(ModelGraph.self, from: Data(other.utf8)) }
    }
    let twoForms =
      #"{"id":"a","width":2,"sameOrderAs":"b","heads":{"attention":"a","rotation":"b","heads":1,"groups":1,"#
      + #""headWidth":2,"isRotary":false}}"#
    #expect(throws: DecodingError.self) { try JSONDecoder().decode(Space.self, from: Data(twoForms.utf8)) }
  }

  @Test(arguments: [ParameterOrigin.linear, .pretrained, .normal(deviation: 0.02), .zeros])
  func originsAreReadBack(_ origin: ParameterOrigin) throws {
    #expect(try JSONDecoder().decode(ParameterOrigin.self, from: JSONEncoder().encode(origin)) == origin)
  }
}
