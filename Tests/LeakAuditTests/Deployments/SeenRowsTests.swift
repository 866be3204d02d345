import Masking
import Models
import OwnerRole
import Testing

/// What every command says of the rows that a host has seen.
@Suite struct SeenRowsTests {
  private func seen(_ count: Int, _ group: SymmetryGroup, tokens: Bool = false, noise: Bool = false) -> SeenRows {
    SeenRows(count, input: Self.row(group, tokens: tokens), readsTokens: tokens, hasNoise: noise)
  }

  private static func row(_ group: SymmetryGroup, tokens: Bool = false) -> KeyPlanRow {
    KeyPlanRow(
      space: SpaceID("input"), width: tokens ? 24 : 53, group: group, decidedBy: "test",
      homogeneous: tokens ? nil : HomogeneousColumns(features: 50, padding: 2))
  }

  @Test func aRotationFallsToAsManyRowsAsColumns() {
    #expect(Self.row(.orthogonal).knownRowsToKey == 50 && Self.row(.orthogonal, tokens: true).knownRowsToKey == 24)
    #expect(seen(51, .orthogonal).text.contains("knows 50 independent ones of them in the clear"))
    #expect(seen(51, .orthogonal).text.contains("the other 1 and every later one"))
    #expect(seen(50, .orthogonal).text.contains("The key follows from 50 rows known in the clear"))
    #expect(seen(25, .orthogonal, tokens: true).text.contains("knows 24 independent ones"))
    #expect(seen(25, .orthogonal, tokens: true).text.hasPrefix("the host has seen 25 tokens of this model"))
  }

  @Test func otherKeysFallToOne() {
    #expect(Self.row(.permutation).knownRowsToKey == 1 && Self.row(.signedPermutation).knownRowsToKey == 1)
    #expect(seen(1, .permutation).text.hasPrefix("the host has seen 1 row of this model under all its keys."))
    #expect(seen(2, .permutation, noise: true).text.contains("noise"))
    #expect(Self.row(.trivial).knownRowsToKey == 0 && seen(2, .trivial).text.contains("it has read them"))
    #expect(seen(0, .orthogonal).text == "the host has seen 0 rows of this model under all its keys.")
  }
}
