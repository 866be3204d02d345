import Foundations
import Models
import Protocol
import TestSupport
import Testing

@testable import Families
@testable import Files

/// The graphs that families become are those that the descriptions of wire version 2 stand for: a job that was begun then is the same now.
@Suite struct FamilyGraphTests {
  private static let trained: [TrainedPart] = [
    .all, .head,
    .lora(LowRankAdaptation(rank: 2, alpha: 4, targets: ["dense", "query", "value"])),
    .lora(LowRankAdaptation(rank: 3, alpha: 1.5, targets: ["down_proj", "q_proj"])),
  ]

  private func family(
    _ settings: [String: JSONValue], _ changes: [String: JSONValue] = [:]
  ) throws(HuggingFaceProblem) -> any ModelFamily {
    let merged = settings.merging(changes) { $1 }
    return try HuggingFaceConfiguration.parse(Array(JSONValue.object(merged).text().utf8)).family
  }

  private func description(
    _ family: any ModelFamily, _ wire: TransformerFamily, _ request: ModelRequest, hasBias: Bool
  ) -> TransformerDescription {
    let sizes = family.sizes
    return TransformerDescription(
      family: wire, width: sizes.width, blocks: sizes.blocks, heads: sizes.heads, keyValueHeads: sizes.keyValueHeads,
      headWidth: sizes.headWidth, hidden: sizes.hidden, activation: sizes.activation, normEpsilon: sizes.normEpsilon,
      rotary: sizes.rotary, hasAttentionBiases: sizes.hasAttentionBiases, hasMLPBiases: sizes.hasMLPBiases,
      head: TransformerHead(
        pooling: request.pooling, hasPooler: request.pooler != nil, outputs: request.outputs, hasBias: hasBias,
        isLanguageModel: request.isLanguageModel),
      trained: request.trained, maximumTokens: request.maximumTokens, recomputes: request.recomputes)
  }

  private func compare(
    _ family: any ModelFamily, _ wire: TransformerFamily, _ request: ModelRequest, hasBias: Bool
  ) throws {
    let old = ModelDescription.transformer(description(family, wire, request, hasBias: hasBias))
    do {
      let expected = try old.graph()
      #expect(try family.graph(request) == expected)
    } catch {
      // Targets of an adapter that the family does not have.
      #expect(throws: error) { try family.graph(request) }
    }
  }

  @Test(arguments: [false, true]) func encoders(recomputes: Bool) throws {
    let pools: [(LearningTask, TokenPooling, ModelRequest.Pooler?)] = [
      (.classification, .cls, .pretrained), (.regression, .cls, nil), (.multilabel, .mean, nil),
      (.classification, .last, nil), (.tokenClassification, .none, nil),
    ]
    for family in [
      try family(ModelFixture.bert, ["num_hidden_layers": 3]), try family(ModelFixture.bert, ["hidden_act": "relu"]),
    ] {
      for (task, pooling, pooler) in pools {
        for trained in Self.trained {
          let request = ModelRequest(
            task: task, pooling: pooling, pooler: pooler, outputs: 3, trained: trained, maximumTokens: 5,
            recomputes: recomputes)
          try compare(family, .bert, request, hasBias: true)
        }
      }
    }
  }

  @Test(arguments: [false, true]) func decoders(recomputes: Bool) throws {
    let pools: [(LearningTask, TokenPooling)] = [
      (.classification, .last), (.multilabel, .mean), (.tokenClassification, .none), (.causalLanguageModel, .none),
    ]
    for family in [
      try family(ModelFixture.llama, ["num_hidden_layers": 3]),
      try family(ModelFixture.llama, ["attention_bias": true, "mlp_bias": true, "head_dim": 6]),
    ] {
      for (task, pooling) in pools {
        for trained in Self.trained {
          let request = ModelRequest(
            task: task, pooling: pooling, pooler: nil, outputs: 6, trained: trained, maximumTokens: 4,
            recomputes: recomputes)
          try compare(family, .llama, request, hasBias: task == .tokenClassification)
        }
      }
    }
  }

  /// Drawn as the class draws it, and trained with the classifier when that is all that is trained.
  @Test(arguments: [TrainedPart.all, .head]) func aPoolerThatTheCheckpointLacks(trained: TrainedPart) throws {
    let request = ModelRequest(
      task: .classification, pooling: .cls, pooler: .fresh, outputs: 2, trained: trained, maximumTokens: 5,
      recomputes: false)
    let graph = try family(ModelFixture.bert, ["initializer_range": .number("0.5")]).graph(request)
    let poolers = graph.layers.filter { $0.name == "bert.pooler.dense" }
    #expect(poolers.count == 1)
    guard case .linear(let pooler)? = poolers.first?.operation else {
      Issue.record("no linear layer")
      return
    }
    #expect(pooler.activation == .tanh)
    #expect(
      pooler.parameters
        == LinearParameters(
          hasBias: true, isTrained: true, weightOrigin: .normal(deviation: 0.5), biasOrigin: .zeros))
  }

  @Test func moreBlocksThanATrainerTakes() throws {
    let request = ModelRequest(
      task: .classification, pooling: .mean, pooler: nil, outputs: 2, trained: .all, maximumTokens: 5,
      recomputes: false)
    let large = try family(ModelFixture.bert, ["num_hidden_layers": 2000])
    #expect(throws: GraphError.outOfRange("blocks", value: 2000, allowed: 1...1024)) { try large.graph(request) }
  }
}
