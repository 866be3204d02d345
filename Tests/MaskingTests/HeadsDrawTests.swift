import Models
import Foundation
import Numerics
import Testing

@testable import Masking

/// Whether the keys of heads are distributed as they should be. Means over m draws, five standard deviations; seeds are
/// fixed, so the outcomes are too.
@Suite struct HeadsDrawTests {
  private static let draws = 1500

  /// K of one draw, and of it the matrix of the head that went to place 0.
  private func draw(_ form: HeadsForm, _ group: SymmetryGroup, seed: Int) -> NaiveMatrix {
    let width = form.heads * form.headWidth
    let row = KeyPlanRow(
      space: SpaceID("layers.0.query"), width: width, group: group, decidedBy: "test", form: .heads(form))
    let key: any SpaceKey<Double> = KeyExpansion(master: .fixed(seed: seed), workers: Workers(threads: 1)).key(row)
    let identity = NaiveMatrix(rows: width, columns: width) { $0 == $1 ? 1 : 0 }
    return NaiveMatrix(key.transform(columns: identity.tensor, .mask, compute: Compute(threads: 1)))
  }

  private func form(_ heads: Int, _ groups: Int, _ headWidth: Int, isRotary: Bool = false) -> HeadsForm {
    HeadsForm(
      attention: "layers.0.attention", rotation: "qk", heads: heads, groups: groups, headWidth: headWidth,
      isRotary: isRotary)
  }

  /// Pearson's statistic with c − 1 degrees of freedom has mean c − 1 and variance 2(c − 1).
  private func expectUniform(_ counts: [Int], sourceLocation: SourceLocation = #_sourceLocation) {
    let expected = Double(counts.reduce(0, +)) / Double(counts.count)
    let statistic = counts.reduce(0.0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected }
    let freedom = Double(counts.count - 1)
    #expect(statistic < freedom + 5 * (2 * freedom).squareRoot(), sourceLocation: sourceLocation)
  }

  /// For Haar on O(n): E q = 0, E q² = 1/n, E q⁴ = 3/(n(n+2)), E q⁸ = 105/(n(n+2)(n+4)(n+6)); E tr = 0, E tr² = 1 and, for n ≥ 4,
  /// E tr⁴ = 3; both determinants equally often, and those of two heads independently: their product is even too.
  @Test func headsAreHaarDistributedAndIndependent() {
    let (n, draws) = (4.0, Double(Self.draws))
    let pair = form(2, 2, 4)
    var corner: [Double] = []
    var traces: [Double] = []
    var products: [Double] = []
    var (determinants, agreements) = (0, 0)
    for seed in 0..<Self.draws {
      let k = draw(pair, .orthogonal, seed: seed)
      let parts = (0..<2).map { place in
        let source = k[place * 4, 0] == 0 ? 1 : 0
        return NaiveMatrix(rows: 4, columns: 4) { k[place * 4 + $0, source * 4 + $1] }
      }
      corner.append(parts[0][0, 0])
      traces.append((0..<4).reduce(0) { $0 + parts[0][$1, $1] })
      products.append(parts[0][0, 0] * parts[1][0, 0])
      let signs = parts.map { $0.determinant > 0 ? 1 : -1 }
      determinants += signs[0]
      agreements += signs[0] * signs[1]
    }
    func mean(_ values: [Double], power: Int) -> Double {
      values.reduce(0) { $0 + pow($1, Double(power)) } / draws
    }
    let limit = 5 / draws.squareRoot()
    let fourth = 3 / (n * (n + 2))
    let eighth = 105 / (n * (n + 2) * (n + 4) * (n + 6))
    #expect(abs(mean(corner, power: 1)) < limit * (1 / n).squareRoot())
    #expect(abs(mean(corner, power: 2) - 1 / n) < limit * (fourth - 1 / (n * n)).squareRoot())
    #expect(abs(mean(corner, power: 4) - fourth) < limit * (eighth - fourth * fourth).squareRoot())
    #expect(abs(mean(traces, power: 1)) < limit)
    #expect(abs(mean(traces, power: 2) - 1) < limit * 2.0.squareRoot())
    // Entries of independent heads: mean 0, variance 1/n².
    #expect(abs(mean(products, power: 1)) < limit / n)
    #expect(abs(Double(determinants)) < 5 * draws.squareRoot())
    #expect(abs(Double(agreements)) < 5 * draws.squareRoot())
  }

  /// Each plane's angle fills the circle evenly, and two planes fill the torus.
  @Test func anglesOfPlanesAreUniformAndIndependent() {
    var counts = [Int](repeating: 0, count: 32)
    var pairs = [Int](repeating: 0, count: 64)
    func part(_ k: NaiveMatrix, _ plane: Int, of parts: Int) -> Int {
      let angle = atan2(k[plane + 2, plane], k[plane, plane]) / (2 * Double.pi)
      return min(parts - 1, Int((angle < 0 ? angle + 1 : angle) * Double(parts)))
    }
    for seed in 0..<2 * Self.draws {
      let k = draw(form(1, 1, 4, isRotary: true), .orthogonal, seed: seed)
      counts[part(k, 0, of: 32)] += 1
      counts[part(k, 1, of: 32)] += 1
      pairs[part(k, 0, of: 8) * 8 + part(k, 1, of: 8)] += 1
    }
    expectUniform(counts)
    expectUniform(pairs)
  }

  /// 3 groups of 2 heads: 3! orders of groups times 2³ orders within them, all equally often.
  @Test func ordersOfGroupsAndHeadsAreUniform() {
    var counts: [[Int]: Int] = [:]
    for seed in 0..<48 * 60 {
      let k = draw(form(6, 3, 2, isRotary: true), .permutation, seed: seed)
      let order = (0..<6).map { place in (0..<6).firstIndex { k[place * 2, $0 * 2] == 1 } ?? -1 }
      counts[order, default: 0] += 1
    }
    #expect(counts.count == 48)
    expectUniform(Array(counts.values))
    // Heads of a group stay side by side.
    #expect(
      counts.keys.allSatisfy { order in stride(from: 0, to: 6, by: 2).allSatisfy { order[$0] / 2 == order[$0 + 1] / 2 }
      })
  }

  /// The quarters of the four planes of one head: 4⁴ equally likely.
  @Test func quarterTurnsAreUniform() {
    var counts = [Int](repeating: 0, count: 256)
    for seed in 0..<256 * 12 {
      let k = draw(form(1, 1, 8, isRotary: true), .signedPermutation, seed: seed)
      let quarters = (0..<4).map { plane in
        [(1.0, 0.0), (0, 1), (-1, 0), (0, -1)].firstIndex { k[plane, plane] == $0.0 && k[plane + 4, plane] == $0.1 }
          ?? 0
      }
      counts[quarters.reduce(0) { $0 * 4 + $1 }] += 1
    }
    expectUniform(counts)
  }

  /// Signed permutations of a head of 3: 3! · 2³ = 48.
  @Test func signedPermutationsOfAHeadAreUniform() {
    var counts: [[Double]: Int] = [:]
    for seed in 0..<48 * 60 { counts[draw(form(1, 1, 3), .signedPermutation, seed: seed).elements, default: 0] += 1 }
    #expect(counts.count == 48)
    expectUniform(Array(counts.values))
  }
}
