import Cryptography
import Models
import Numerics
import Testing

@testable import Masking

/// One attention layer's keys as matrices, against what the design says of them.
@Suite struct HeadsKeyTests {
  private let width = 4

  private func form(
    heads: Int, groups: Int, headWidth: Int = 4, rotation: String = "qk", isRotary: Bool = false,
    attention: String = "layers.0.attention"
  ) -> HeadsForm {
    HeadsForm(
      attention: attention, rotation: rotation, heads: heads, groups: groups, headWidth: headWidth, isRotary: isRotary)
  }

  private func key<Element: FloatingElement>(
    _ form: HeadsForm, _ group: SymmetryGroup = .orthogonal, seed: Int = 0, permutesHeads: Bool = true,
    space: String = "layers.0.query", threads: Int = 1, as type: Element.Type = Double.self
  ) -> any SpaceKey<Element> {
    let row = KeyPlanRow(
      space: SpaceID(space), width: form.heads * form.headWidth, group: group, decidedBy: "test", form: .heads(form),
      permutesHeads: permutesHeads)
    return KeyExpansion(master: .fixed(seed: seed), workers: Workers(threads: threads)).key(row)
  }

  private func numbers(_ rows: Int, _ columns: Int, _ seed: String = "numbers") -> NaiveMatrix {
    let stream = KeyStream(secret: Array(seed.utf8), label: "numbers")
    return NaiveMatrix(rows: rows, columns: columns) { _, _ in stream.nextUniform() - 0.5 }
  }

  /// K itself.
  private func matrix(_ key: any SpaceKey<Double>) -> NaiveMatrix {
    let identity = NaiveMatrix(rows: key.width, columns: key.width) { $0 == $1 ? 1 : 0 }
    return NaiveMatrix(key.transform(columns: identity.tensor, .mask, compute: Compute(threads: 1)))
  }

  /// The head that went to each place, and what it was multiplied with: the blocks of K that are not zero.
  private func blocks(_ matrix: NaiveMatrix, headWidth: Int) -> [(source: Int, block: NaiveMatrix)] {
    let heads = matrix.rows / headWidth
    return (0..<heads).map { place in
      let candidates = (0..<heads).map { source in
        NaiveMatrix(rows: headWidth, columns: headWidth) {
          matrix[place * headWidth + $0, source * headWidth + $1]
        }
      }
      let sources = candidates.indices.filter { candidates[$0].elements.contains { $0 != 0 } }
      #expect(sources.count == 1)
      return (sources[0], candidates[sources[0]])
    }
  }

  struct Case: Sendable, CustomTestStringConvertible {
    let group: SymmetryGroup
    let isRotary: Bool
    let permutesHeads: Bool

    var testDescription: String {
      "\(group)\(isRotary ? ", rotary" : "")\(permutesHeads ? "" : ", heads in their order")"
    }

    static let all = SymmetryGroup.allCases.flatMap { group in
      [false, true].flatMap { isRotary in
        [false, true].map { Case(group: group, isRotary: isRotary, permutesHeads: $0) }
      }
    }
  }

  /// Rows, columns, both directions and inputs all use the one matrix K, and K is orthogonal. Sums of 4 terms below 1: 1e-14.
  @Test(arguments: Case.all) func everyUseIsOfOneOrthogonalMatrix(_ job: Case) throws {
    let key: any SpaceKey<Double> = key(
      form(heads: 6, groups: 3, isRotary: job.isRotary), job.group, permutesHeads: job.permutesHeads)
    let (k, compute) = (matrix(key), Compute(threads: 2))
    #expect(key.width == 24)
    let identity = NaiveMatrix(rows: 24, columns: 24) { $0 == $1 ? 1 : 0 }
    #expect(identity.relativeDistance(to: k.transposed * k) < 1e-14)
    let rows = numbers(700, 24)
    let masked = NaiveMatrix(key.transform(rows: rows.tensor, .mask, compute: compute))
    #expect((rows * k.transposed).relativeDistance(to: masked) < 1e-14)
    #expect(
      rows.relativeDistance(to: NaiveMatrix(key.transform(rows: masked.tensor, .unmask, compute: compute))) < 1e-14)
    let columns = rows.transposed
    let turned = NaiveMatrix(key.transform(columns: columns.tensor, .mask, compute: compute))
    #expect((k * columns).relativeDistance(to: turned) < 1e-14)
    let back = key.transform(columns: turned.tensor, .unmask, compute: compute)
    #expect(columns.relativeDistance(to: NaiveMatrix(back)) < 1e-14)
    let inputs = numbers(3, 20)
    let homogeneous = NaiveMatrix(rows: 3, columns: 24) { $1 < 20 ? inputs[$0, $1] : $1 == 20 ? 1 : 0 }
    let maskedInputs = key.mask(inputs: inputs.tensor, offset: true, compute: compute)
    #expect((homogeneous * k.transposed).relativeDistance(to: NaiveMatrix(maskedInputs)) < 1e-14)
    let sparse = try SparseRows(
      columns: 20, starts: [0, 20, 40, 60], indices: (0..<60).map { Int32($0 % 20) }, values: inputs.elements)
    let maskedSparse = key.mask(inputs: sparse, offset: true, compute: compute)
    #expect((homogeneous * k.transposed).relativeDistance(to: NaiveMatrix(maskedSparse)) < 1e-14)
  }

  @Test func aVectorIsTurnedAsAColumn() {
    let key: any SpaceKey<Double> = key(form(heads: 6, groups: 3))
    let vector = numbers(24, 1)
    let masked = key.transform(columns: Tensor(vector.elements, shape: [24]), .mask, compute: Compute(threads: 1))
    #expect(masked.shape == [24])
    #expect((matrix(key) * vector).relativeDistance(to: NaiveMatrix(rows: 24, columns: 1, masked.elements)) < 1e-14)
  }

  /// All four spaces of a layer: groups in one order, query heads together with their group, one matrix a group for
  /// queries and keys, another for values and context.
  @Test(arguments: [SymmetryGroup.permutation, .signedPermutation, .orthogonal], [false, true])
  func theSpacesOfALayerShareWhatTheyMust(group: SymmetryGroup, isRotary: Bool) {
    let width = 4
    let (query, key) = (
      blocks(matrix(self.key(form(heads: 12, groups: 4, isRotary: isRotary), group)), headWidth: width),
      blocks(
        matrix(self.key(form(heads: 4, groups: 4, isRotary: isRotary), group, space: "layers.0.key")), headWidth: width)
    )
    let value = blocks(matrix(self.key(form(heads: 4, groups: 4, rotation: "vo"), group)), headWidth: width)
    let context = blocks(matrix(self.key(form(heads: 12, groups: 4, rotation: "vo"), group)), headWidth: width)
    #expect(key.map(\.source).sorted() == Array(0..<4))
    #expect(query.map(\.source).sorted() == Array(0..<12))
    #expect(value.map(\.source) == key.map(\.source))
    #expect(context.map(\.source) == query.map(\.source))
    for place in 0..<12 {
      #expect(query[place].source / 3 == key[place / 3].source)
      #expect(query[place].block.elements == key[place / 3].block.elements)
      #expect(context[place].block.elements == value[place / 3].block.elements)
    }
    // Groups have keys of their own; under a permutation two of four can coincide, and rotary heads have none inside.
    if group == .orthogonal {
      #expect(Set(key.map(\.block.elements)).count == 4)
      #expect(key[0].block.elements != value[0].block.elements)
    }
    let other = matrix(self.key(form(heads: 12, groups: 4, isRotary: isRotary, attention: "layers.1.attention"), group))
    #expect(blocks(other, headWidth: width).map(\.source) != query.map(\.source))
  }

  /// What a rotary head's key may be is decided by the rotation by position, which it must commute with.
  @Test(arguments: [SymmetryGroup.permutation, .signedPermutation, .orthogonal])
  func rotaryKeysCommuteWithTheRotationByPosition(group: SymmetryGroup) {
    let tape = GradientTape()
    let key: any SpaceKey<Double> = key(form(heads: 1, groups: 1, headWidth: 8, isRotary: true), group)
    let rows = numbers(5, 8)
    func turn(_ matrix: NaiveMatrix) -> NaiveMatrix {
      tape.turnedByPosition(tape.leaf(matrix), [0.9, 0.4, 0.11, 0.05]).value
    }
    func mask(_ matrix: NaiveMatrix) -> NaiveMatrix {
      NaiveMatrix(key.transform(rows: matrix.tensor, .mask, compute: Compute(threads: 1)))
    }
    #expect(turn(mask(rows)).relativeDistance(to: mask(turn(rows))) < 1e-14)
    #expect((mask(rows).elements == rows.elements) == (group == .permutation))
  }

  @Test func headsInTheirOrderStayWhereTheyAre() {
    for group in [SymmetryGroup.permutation, .signedPermutation, .orthogonal] {
      let parts = blocks(matrix(key(form(heads: 12, groups: 4), group, permutesHeads: false)), headWidth: 4)
      #expect(parts.map(\.source) == Array(0..<12))
    }
  }

  @Test func aRotatedSpaceHasNoPositionsOrMagnitudes() {
    let key: any SpaceKey<Double> = key(form(heads: 2, groups: 2))
    #expect(key.positions(of: [0]) == nil)
    #expect(key.magnitudes == nil)
    #expect(key.group == .orthogonal)
  }

  @Test func magnitudesOfSignedHeadsForgetTheSigns() throws {
    for isRotary in [false, true] {
      let key: any SpaceKey<Double> = key(form(heads: 6, groups: 3, isRotary: isRotary), .signedPermutation)
      let magnitudes = try #require(key.magnitudes)
      #expect(matrix(magnitudes).elements == matrix(key).elements.map(abs))
      #expect(matrix(key).elements.contains(-1))
    }
  }

  @Test func nothingDependsOnTheNumberOfThreads() {
    let form = form(heads: 8, groups: 2, headWidth: 32)
    let rows = numbers(1500, 256).tensor
    let (one, three) = (key(form), key(form, threads: 3))
    let compute = [Compute(threads: 1), Compute(threads: 3)]
    #expect(
      one.transform(rows: rows, .mask, compute: compute[0]) == three.transform(rows: rows, .mask, compute: compute[1]))
    let columns = numbers(256, 40).tensor
    #expect(
      one.transform(columns: columns, .mask, compute: compute[0])
        == three.transform(columns: columns, .mask, compute: compute[1]))
  }

  /// In Float a key of 32 coordinates is a rounded exact one: orthogonal to 32 · 2⁻²⁴ · a few ≈ 4e-6 at worst, and it is the
  /// key that Double has, entry by entry to 2⁻²⁴ of numbers below 1.
  @Test(arguments: [false, true]) func aKeyInFloatIsTheRoundedKey(isRotary: Bool) {
    let form = form(heads: 4, groups: 2, headWidth: 32, isRotary: isRotary)
    let identity = NaiveMatrix(rows: 128, columns: 128) { $0 == $1 ? 1 : 0 }
    let single: any SpaceKey<Float> = key(form, as: Float.self)
    let k = NaiveMatrix(single.transform(columns: identity.tensor, .mask, compute: Compute(threads: 1)))
    #expect(identity.relativeDistance(to: k.transposed * k) < 4e-6)
    for (left, right) in zip(k.elements, matrix(key(form)).elements) { #expect(abs(left - right) <= 0x1p-24) }
  }
}
