import Models
import Protocol
import Testing

@testable import Training

@Suite struct TransformerModelTests {
  struct Change: Sendable {
    var family = TransformerFamily.bert
    var width = 8
    var blocks = 2
    var heads = 4
    var keyValueHeads = 4
    var headWidth = 2
    var hidden = 6
    var activation = Activation.gelu
    var normEpsilon = 1e-12
    var rotary: RotaryDescription?
    var pooling = TokenPooling.cls
    var hasPooler = true
    var outputs = 3
    var isLanguageModel = false
    var trained = TrainedPart.all
    var maximumTokens = 16

    static let bert = Change()
    static let llama = Change(
      family: .llama, keyValueHeads: 2, activation: .silu, rotary: RotaryDescription(frequencies: [1]),
      pooling: .last, hasPooler: false)

    func with<Value>(_ path: WritableKeyPath<Change, Value>, _ value: Value) -> Change {
      var changed = self
      changed[keyPath: path] = value
      return changed
    }

    func model() throws -> Model {
      try Model(
        ModelDescription.transformer(
          TransformerDescription(
            family: family, width: width, blocks: blocks, heads: heads, keyValueHeads: keyValueHeads,
            headWidth: headWidth, hidden: hidden, activation: activation, normEpsilon: normEpsilon, rotary: rotary,
            hasAttentionBiases: family == .bert, hasMLPBiases: family == .bert,
            head: TransformerHead(
              pooling: pooling, hasPooler: hasPooler, outputs: outputs, hasBias: family == .bert,
              isLanguageModel: isLanguageModel),
            trained: trained, maximumTokens: maximumTokens, recomputes: true)
        ).graph())
    }
  }

  @Test func bertHasHuggingFacesNamesInTheOrderOfWork() throws {
    let parameters = try Change.bert.with(\.blocks, 1).model().structure.parameters
    let block = "bert.encoder.layer.0"
    let layers = [
      "\(block).attention.self.query", "\(block).attention.self.key", "\(block).attention.self.value",
      "\(block).attention.output.dense", "\(block).attention.output.LayerNorm", "\(block).intermediate.dense",
      "\(block).output.dense", "\(block).output.LayerNorm", "bert.pooler.dense", "classifier",
    ]
    #expect(parameters.map(\.name) == layers.flatMap { ["\($0).weight", "\($0).bias"] })
    #expect(parameters.dropLast(2).allSatisfy { $0.origin == .pretrained && $0.isTrained })
    #expect(parameters.suffix(2).map(\.origin) == [.normal(deviation: 0.02), .zeros])
  }

  @Test func llamaHasHuggingFacesNamesAndNoGains() throws {
    let parameters = try Change.llama.with(\.blocks, 1).model().structure.parameters
    let block = "model.layers.0"
    #expect(
      parameters.map(\.name) == [
        "\(block).self_attn.q_proj.weight", "\(block).self_attn.k_proj.weight", "\(block).self_attn.v_proj.weight",
        "\(block).self_attn.o_proj.weight", "\(block).mlp.gate_proj.weight", "\(block).mlp.up_proj.weight",
        "\(block).mlp.down_proj.weight", "score.weight",
      ])
    #expect(parameters.map(\.shape) == [[8, 8], [4, 8], [4, 8], [8, 8], [6, 8], [6, 8], [8, 6], [3, 8]])
    let language = Change.llama.with(\.isLanguageModel, true).with(\.pooling, .none)
    #expect(try language.model().structure.parameters.last?.name == "lm_head.weight")
    #expect(try language.model().structure.parameters.last?.origin == .pretrained)
  }

  @Test func headsShareKeysAndOrderWithinABlock() throws {
    let structure = try Change.llama.model().structure
    let forms = ["query", "key", "value", "context"].map { structure.space(SpaceID("layers.1.\($0)"))?.form }
    func form(_ heads: Int, _ rotation: String, _ isRotary: Bool) -> SpaceForm {
      .heads(
        HeadsForm(
          attention: "layers.1.attention", rotation: rotation, heads: heads, groups: 2, headWidth: 2, isRotary: isRotary
        ))
    }
    #expect(forms == [form(4, "qk", true), form(2, "qk", true), form(2, "vo", false), form(4, "vo", false)])
    #expect(structure.space(SpaceID("layers.1.up"))?.form == .sameOrder(as: "layers.1.gate"))
    #expect(structure.input == SpaceID("residual") && structure.spaces.first?.id == structure.input)
  }

  /// The smallest group over a space's constraints.
  private func group(_ space: String, _ structure: ModelStructure) -> SymmetryGroup? {
    structure.constraints.filter { $0.space.name == space }.map(\.largest).min()
  }

  @Test func theResidualIsRotatedInLlamaAndPermutedInBERT() throws {
    let bert = try Change.bert.model().structure
    #expect(group("residual", bert) == .permutation)
    #expect(
      bert.constraints.contains {
        $0.space.name == "residual" && $0.reason == "gain of bert.encoder.layer.0.output.LayerNorm"
      })
    #expect(group("layers.0.hidden", bert) == .permutation)
    #expect(group("layers.0.query", bert) == .orthogonal)
    #expect(group("pooled", bert) == .signedPermutation)
    #expect(group("output", bert) == .orthogonal)
    let llama = try Change.llama.model().structure
    #expect(group("residual", llama) == .orthogonal)
    #expect(group("layers.0.gate", llama) == .permutation)
    #expect(group("layers.0.up", llama) == .signedPermutation)
  }

  @Test func everySpaceHasAConstraintAndEveryParameterSpaces() throws {
    let lora = LowRankAdaptation(rank: 2, alpha: 4, targets: ["query", "q_proj"])
    for change in [Change.bert, .llama] {
      let targets = change.family == .bert ? ["query"] : ["q_proj"]
      let structure = try change.with(
        \.trained, .lora(LowRankAdaptation(rank: lora.rank, alpha: lora.alpha, targets: targets))
      ).model().structure
      let known = Set(structure.spaces.map(\.id))
      #expect(known == Set(structure.constraints.map(\.space)))
      for parameter in structure.parameters {
        #expect(structure.space(parameter.rows)?.width == parameter.shape[0])
        if let columns = parameter.columns { #expect(structure.space(columns)?.width == parameter.shape[1]) }
      }
    }
  }

  @Test func afterItsKeysAndValuesTheLastBlockIsThePooledTokens() throws {
    for change in [Change.bert, .llama] {
      let model = try change.model()
      let last = try #require(model.recomputedBlocks.last)
      let tokens = last.filter { model.values[model.layers[$0].output].domain == .tokens }.map { model.layers[$0].name }
      #expect(
        tokens.allSatisfy {
          $0.hasSuffix("key") || $0.hasSuffix("value") || $0.contains("k_proj")
            || $0.contains("v_proj") || $0.hasSuffix("input_layernorm") || $0.hasSuffix("self_attn")
        })
      #expect(model.values[model.outputValue].domain == .samples)
    }
    #expect(try Change.bert.with(\.pooling, .none).with(\.hasPooler, false).model().values.last?.domain == .tokens)
  }

  @Test func aBlockReadsOneValueFromOutside() throws {
    for change in [Change.bert, .llama, Change.llama.with(\.pooling, .none)] {
      let model = try change.model()
      #expect(model.recomputedBlocks.count == 2)
      for block in model.recomputedBlocks {
        let written = Set(block.map { model.layers[$0].output })
        #expect(Set(block.flatMap { model.layers[$0].inputs }).subtracting(written).count == 1)
      }
    }
  }

  @Test func onlyTheHeadIsTrainedWhereOnlyItShall() throws {
    let parameters = try Change.bert.with(\.trained, .head).model().structure.parameters
    #expect(parameters.filter(\.isTrained).map(\.name) == ["classifier.weight", "classifier.bias"])
    let language = Change.llama.with(\.isLanguageModel, true).with(\.pooling, .none)
    #expect(
      try language.with(\.trained, .head).model().structure.parameters.filter(\.isTrained).map(\.name)
        == ["lm_head.weight"])
  }

  @Test func adaptersAndAFreshHeadAreTrained() throws {
    let adaptation = LowRankAdaptation(rank: 2, alpha: 4, targets: ["v_proj"])
    let trained = try Change.llama.with(\.trained, .lora(adaptation)).model().structure.parameters.filter(\.isTrained)
    #expect(
      trained.map(\.name)
        == (0..<2).flatMap { block in
          ["A", "B"].map { "model.layers.\(block).self_attn.v_proj.lora_\($0).weight" }
        } + ["score.weight"])
    let language = Change.llama.with(\.isLanguageModel, true).with(\.pooling, .none)
    let names = try language.with(\.trained, .lora(adaptation)).model().structure.parameters.filter(\.isTrained)
    #expect(names.allSatisfy { $0.name.contains("lora") })
  }

  @Test func anAdapterOfAnUnknownLayerNamesThoseThereAre() {
    let adaptation = LowRankAdaptation(rank: 2, alpha: 4, targets: ["q_proj", "query"])
    #expect(
      throws: GraphError.unknownTarget("q_proj", known: ["query", "key", "value", "dense"])
    ) { try Change.bert.with(\.trained, .lora(adaptation)).model() }
  }

  @Test func aSizeBelowOneIsRefused() {
    let paths: [WritableKeyPath<Change, Int>] = [
      \.width, \.blocks, \.heads, \.keyValueHeads, \.headWidth, \.hidden, \.outputs, \.maximumTokens,
    ]
    for path in paths {
      for size in [0, -1, Int.min] {
        #expect(throws: GraphError.self) { try Change.bert.with(path, size).model() }
        #expect(throws: GraphError.self) { try Change.llama.with(path, size).model() }
      }
    }
  }

  static let refused: [Change] = [
    Change.bert.with(\.headWidth, 3), Change.bert.with(\.keyValueHeads, 2),
    Change.bert.with(\.rotary, RotaryDescription(frequencies: [1])), Change.bert.with(\.isLanguageModel, true),
    Change.bert.with(\.pooling, .mean), Change.bert.with(\.normEpsilon, 0), Change.bert.with(\.normEpsilon, .nan),
    Change.bert.with(\.blocks, 1 << 40), Change.bert.with(\.maximumTokens, 1 << 40),
    Change.llama.with(\.keyValueHeads, 3), Change.llama.with(\.rotary, nil), Change.llama.with(\.hasPooler, true),
    Change.llama.with(\.rotary, RotaryDescription(frequencies: [1, 2])),
    Change.llama.with(\.rotary, RotaryDescription(frequencies: [.infinity])),
    Change.llama.with(\.headWidth, 3), Change.llama.with(\.activation, .gelu),
    Change.llama.with(\.isLanguageModel, true),
    Change.bert.with(\.trained, .lora(LowRankAdaptation(rank: 0, alpha: 1, targets: ["query"]))),
    Change.bert.with(\.trained, .lora(LowRankAdaptation(rank: 1, alpha: .nan, targets: ["query"]))),
    Change.bert.with(\.trained, .lora(LowRankAdaptation(rank: 1, alpha: 1, targets: []))),
  ]

  @Test(arguments: refused.indices) func whatDoesNotFitIsRefused(_ index: Int) {
    #expect(throws: GraphError.self) { try Self.refused[index].model() }
  }

  @Test func sizesThatOverflowAreRefused() {
    for change in [Change.bert, .llama] {
      #expect(throws: GraphError.outOfRange("MLP width", value: 1 << 60, allowed: 1...1 << 20)) {
        try change.with(\.hidden, 1 << 60).model()
      }
      #expect(throws: GraphError.outOfRange("width of output", value: .max, allowed: 1...1 << 24)) {
        try change.with(\.outputs, Int.max).model()
      }
      let target = change.family == .bert ? "query" : "q_proj"
      #expect {
        try change.with(\.trained, .lora(LowRankAdaptation(rank: 1 << 59, alpha: 1, targets: [target]))).model()
      } throws: {
        guard case .outOfRange(let what, 1 << 59, _) = $0 as? GraphError else { return false }
        return what.hasSuffix("\(target).rank")
      }
    }
    #expect(throws: GraphError.self) { try Change.llama.with(\.heads, 1 << 62).model() }
    #expect(throws: GraphError.self) { try Change.bert.with(\.width, Int.max).model() }
  }
}
