import Models
import Foundations
import Foundation
import Testing

@testable import Masking

/// The key table of transformers.
@Suite struct TransformerPlanTests {
  private func groups(_ plan: KeyPlan, _ spaces: [String]) -> [SymmetryGroup?] {
    spaces.map { plan.row(SpaceID($0))?.group }
  }

  private func descriptions(_ plan: KeyPlan, _ spaces: [String]) -> [String] {
    spaces.compactMap { plan.row(SpaceID($0))?.keyDescription }
  }

  @Test func bertUnderRotation() throws {
    let plan = try TransformerFixture.bert.plan(.rotation)
    #expect(plan.input.group == .permutation)
    #expect(plan.input.decidedBy == "gain of bert.encoder.layer.0.attention.output.LayerNorm")
    #expect(plan.input.homogeneous == nil)
    let spaces = ["layers.1.query", "layers.1.key", "layers.1.value", "layers.1.context", "layers.1.hidden", "pooled"]
    #expect(
      groups(plan, spaces) == [.orthogonal, .orthogonal, .orthogonal, .orthogonal, .permutation, .signedPermutation])
    #expect(
      descriptions(plan, ["residual"] + spaces) == ["permutation"]
        + Array(repeating: "orthogonal per head (3 x 4), heads permuted", count: 4)
        + ["permutation", "signedPermutation"])
    #expect(plan.rows.allSatisfy { $0.permutesHeads })
  }

  @Test func llamaUnderRotation() throws {
    let plan = try TransformerFixture.llama.plan(.rotation)
    #expect(plan.input.group == .orthogonal)
    #expect(
      descriptions(plan, ["query", "key", "value", "context", "gate", "up"].map { "layers.0.\($0)" }) == [
        "plane rotations per head (4 x 4, 2 groups), heads permuted",
        "plane rotations per head (2 x 4), heads permuted", "orthogonal per head (2 x 4), heads permuted",
        "orthogonal per head (4 x 4, 2 groups), heads permuted", "permutation",
        "permutation as layers.0.gate, signs of its own",
      ])
    #expect(plan.row(SpaceID("layers.0.up"))?.decidedBy == "gated product of layers.0")
  }

  @Test func llamaUnderPermutation() throws {
    let plan = try TransformerFixture.llama.plan(.permutation)
    #expect(
      descriptions(plan, ["query", "key", "value", "context", "gate", "up"].map { "layers.0.\($0)" }) == [
        "heads permuted (4 x 4, 2 groups)", "heads permuted (2 x 4)", "permutation per head (2 x 4), heads permuted",
        "permutation per head (4 x 4, 2 groups), heads permuted", "permutation", "permutation as layers.0.gate",
      ])
    #expect(Set(plan.rows.map(\.group)) == [.permutation])
  }

  @Test(arguments: [MaskingStrength.inputOnly, .none]) func spacesInTheClearHaveNoKeys(strength: MaskingStrength) throws
  {
    for fixture in [TransformerFixture.bert, .llama] {
      let plan = try fixture.plan(strength)
      #expect(plan.rows.dropFirst().allSatisfy { $0.group == .trivial && $0.keyDescription == "trivial" })
    }
  }

  /// adamw is refused under rotation whatever is left of it, and free under permutation.
  @Test(arguments: [TransformerFixture.bert, .llama]) func theOptimizerDecidesAsForPerceptrons(
    _ fixture: TransformerFixture
  ) throws {
    for strength in [MaskingStrength.rotation, .inputOnly] {
      #expect(throws: MaskingError.notExact(optimizer: .adamw, largest: .signedPermutation, strength: strength)) {
        try fixture.plan(strength, optimizer: .adamw)
      }
      #expect(try fixture.plan(strength, optimizer: .adamw, exact: false) == fixture.plan(strength))
    }
    for strength in [MaskingStrength.permutation, .none] {
      #expect(try fixture.plan(strength, optimizer: .adamw) == fixture.plan(strength))
    }
  }

  @Test func headsThatShareAKeyTakeTheSmallerGroup() throws {
    let plan = try TransformerFixture.llama.plan(
      .rotation, more: [SpaceConstraint(space: SpaceID("layers.0.key"), largest: .signedPermutation, reason: "test")])
    #expect(
      groups(plan, ["query", "key", "value", "context"].map { "layers.0.\($0)" })
        == [.signedPermutation, .signedPermutation, .orthogonal, .orthogonal])
    #expect(plan.row(SpaceID("layers.0.query"))?.decidedBy == "test")
    #expect(groups(plan, ["layers.1.query", "layers.1.key"]) == [.orthogonal, .orthogonal])
    #expect(
      descriptions(plan, ["layers.0.query"]) == ["quarter turns of planes per head (4 x 4, 2 groups), heads permuted"])
  }

  /// One space of the layer in the clear: its twin is too, and no heads are permuted in the others.
  @Test func aClearSpaceKeepsTheHeadsOfItsLayerInOrder() throws {
    let clear = SpaceConstraint(space: SpaceID("layers.0.value"), largest: .trivial, reason: "test")
    let plan = try TransformerFixture.llama.plan(.rotation, more: [clear])
    let spaces = ["query", "key", "value", "context"].map { "layers.0.\($0)" }
    #expect(groups(plan, spaces) == [.orthogonal, .orthogonal, .trivial, .trivial])
    #expect(spaces.allSatisfy { plan.row(SpaceID($0))?.permutesHeads == false })
    #expect(
      descriptions(plan, spaces) == [
        "plane rotations per head (4 x 4, 2 groups)", "plane rotations per head (2 x 4)", "trivial", "trivial",
      ])
    #expect(plan.row(SpaceID("layers.1.query"))?.permutesHeads == true)
    // Of rotary heads under permutation nothing is left then.
    let permuted = try TransformerFixture.llama.plan(.permutation, more: [clear])
    #expect(groups(permuted, spaces) == [.trivial, .trivial, .trivial, .trivial])
    let bert = try TransformerFixture.bert.plan(.permutation, more: [clear])
    #expect(groups(bert, spaces) == [.permutation, .permutation, .trivial, .trivial])
    #expect(descriptions(bert, ["layers.0.query"]) == ["permutation per head (3 x 4)"])
  }

  /// Either of a gated pair in the clear leaves the other without a key: they have one order.
  @Test(arguments: ["layers.0.gate", "layers.0.up"]) func aGatedPairIsKeyedTogether(space: String) throws {
    let clear = SpaceConstraint(space: SpaceID(space), largest: .trivial, reason: "test")
    let plan = try TransformerFixture.llama.plan(.rotation, more: [clear])
    #expect(groups(plan, ["layers.0.gate", "layers.0.up"]) == [.trivial, .trivial])
    #expect(groups(plan, ["layers.1.gate", "layers.1.up"]) == [.permutation, .signedPermutation])
  }

  private func resolve(_ spaces: [Space], _ strength: MaskingStrength = .rotation) throws -> KeyPlan {
    try KeyResolver.resolve(
      structure: ModelStructure(spaces: spaces, layers: [], input: spaces[0].id, output: spaces[spaces.count - 1].id),
      masking: MaskingDescription(strength: strength, padding: 0, exact: true),
      optimizer: OptimizerDescription(
        kind: .sgd, learningRate: 1, momentum: 0, nesterov: false, weightDecay: 0, clipNorm: nil),
      lossConstraint: SpaceConstraint(
        space: spaces[spaces.count - 1].id, largest: .orthogonal, reason: "loss at the owner"))
  }

  @Test func anOrderIsNotSharedWithARotation() throws {
    let plan = try resolve([
      Space(id: SpaceID("a"), width: 4), Space(id: SpaceID("b"), width: 4, form: .sameOrder(as: "a")),
      Space(id: SpaceID("output"), width: 2),
    ])
    #expect(plan.rows.map(\.group) == [.signedPermutation, .signedPermutation, .orthogonal])
    #expect(plan.rows[0].decidedBy == "order shared with b")
  }

  @Test(arguments: [
    (4096, MaskingStrength.rotation, SymmetryGroup.orthogonal, "loss at the owner"),
    (4097, .rotation, .permutation, "4097 outputs: an orthogonal key of that many coordinates is not drawn"),
    (4097, .permutation, .permutation, "masking.strength: permutation"),
    (4097, .none, .trivial, "masking.strength: none"),
  ])
  func aWideOutputIsPermuted(width: Int, strength: MaskingStrength, group: SymmetryGroup, reason: String) throws {
    let plan = try resolve(
      [Space(id: SpaceID("residual"), width: 5000), Space(id: SpaceID("output"), width: width)], strength)
    #expect(plan.output.group == group)
    #expect(plan.output.decidedBy == reason)
    if strength == .rotation { #expect(plan.input.group == .orthogonal) }
  }

  @Test func anOrderOfAnUnknownSpaceIsRefused() throws {
    #expect(throws: MaskingError.unknownSpace(SpaceID("gate"))) {
      try self.resolve([Space(id: SpaceID("up"), width: 4, form: .sameOrder(as: "gate"))])
    }
  }

  struct Misfit: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let spaces: [Space]

    private static func heads(
      _ name: String, width: Int, heads: Int, groups: Int, headWidth: Int, rotation: String = "qk",
      isRotary: Bool = false
    ) -> Space {
      Space(
        id: SpaceID(name), width: width,
        form: .heads(
          HeadsForm(
            attention: "attention", rotation: rotation, heads: heads, groups: groups, headWidth: headWidth,
            isRotary: isRotary)))
    }

    static let all = [
      Misfit(
        testDescription: "groups that do not divide the heads",
        spaces: [heads("q", width: 12, heads: 3, groups: 2, headWidth: 4)]),
      Misfit(testDescription: "no groups", spaces: [heads("q", width: 12, heads: 3, groups: 0, headWidth: 4)]),
      Misfit(testDescription: "no heads", spaces: [heads("q", width: 0, heads: 0, groups: 1, headWidth: 4)]),
      Misfit(
        testDescription: "heads that do not fill the space",
        spaces: [heads("q", width: 13, heads: 3, groups: 3, headWidth: 4)]),
      Misfit(
        testDescription: "heads whose width overflows",
        spaces: [heads("q", width: 12, heads: .max, groups: 1, headWidth: 4)]),
      Misfit(
        testDescription: "planes in a head of odd width",
        spaces: [heads("q", width: 9, heads: 3, groups: 3, headWidth: 3, isRotary: true)]),
      Misfit(
        testDescription: "other groups than another space of the layer",
        spaces: [
          heads("q", width: 16, heads: 4, groups: 2, headWidth: 4),
          heads("k", width: 16, heads: 4, groups: 4, headWidth: 4),
        ]),
      Misfit(
        testDescription: "another head width under one key",
        spaces: [
          heads("q", width: 16, heads: 4, groups: 4, headWidth: 4),
          heads("k", width: 8, heads: 4, groups: 4, headWidth: 2),
        ]),
      Misfit(
        testDescription: "planes in one of two spaces under one key",
        spaces: [
          heads("q", width: 16, heads: 4, groups: 4, headWidth: 4, isRotary: true),
          heads("k", width: 16, heads: 4, groups: 4, headWidth: 4),
        ]),
      Misfit(
        testDescription: "query heads of two counts",
        spaces: [
          heads("q", width: 16, heads: 4, groups: 2, headWidth: 4),
          heads("context", width: 24, heads: 6, groups: 2, headWidth: 4, rotation: "vo"),
        ]),
      Misfit(
        testDescription: "an order of another width",
        spaces: [
          Space(id: SpaceID("gate"), width: 5), Space(id: SpaceID("up"), width: 4, form: .sameOrder(as: "gate")),
        ]),
      Misfit(
        testDescription: "the order of a space that follows another",
        spaces: [
          Space(id: SpaceID("gate"), width: 4, form: .sameOrder(as: "up")),
          Space(id: SpaceID("up"), width: 4, form: .sameOrder(as: "gate")),
        ]),
    ]
  }

  @Test(arguments: Misfit.all) func formsThatDoNotFitAreRefused(_ misfit: Misfit) throws {
    let error = #expect(throws: MaskingError.self) { try self.resolve(misfit.spaces) }
    guard case .spaceForm = error else {
      Issue.record("refused as \(String(describing: error))")
      return
    }
    #expect(error?.kind == .defect)
  }

  @Test func theTableComesBackFromJSON() throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    for fixture in [TransformerFixture.bert, .llama] {
      for more in [[], [SpaceConstraint(space: SpaceID("layers.0.value"), largest: .trivial, reason: "test")]] {
        let plan = try fixture.plan(.rotation, more: more)
        #expect(try JSONDecoder().decode(KeyPlan.self, from: encoder.encode(plan)) == plan)
      }
    }
    let plan = try TransformerFixture.llama.plan(.rotation)
    func json(_ space: String) throws -> String {
      String(decoding: try encoder.encode(plan.row(SpaceID(space))), as: UTF8.self)
    }
    #expect(
      try json("layers.0.gate")
        == #"{"decidedBy":"silu after model.layers.0.mlp.gate_proj","group":"permutation","space":"layers.0.gate","width":10}"#
    )
    #expect(try json("layers.0.up").contains(#""sameOrderAs":"layers.0.gate""#))
    #expect(try json("layers.0.query").contains(#""heads":{"attention":"layers.0.attention""#))
  }
}
