import Models
import LeakAudit
import Numerics
import Testing
import TestSupport

/// A rotation keeps all that these attacks look at, so that they must do about as well on masked rows as on the same rows unmasked, wherever
/// that is: an attack that does better on the control was told that there is no key, and says nothing of what the masking hides.
///
/// Every case is one in which whoever reads plain values is right always.
@Suite struct IsometryTests {
  /// Bits have whole numbers for norms and distances, of which two candidates leave many pairs of rows: a few of 64 members are found.
  /// Masked distances differ from the others by rounding alone, which the attack makes room for: only members near the threshold can
  /// change sides, and six of 64 are allowed.
  @Test func linkageOfBits() throws {
    var random = SplitMix(seed: 1)
    let shares = (0..<96).map { _ in Double.random(in: 0.05..<0.5, using: &random) }
    let scene = RecordScene(
      rows: RecordScene.fingerprints(256, shares: shares, &random),
      sample: RecordScene.fingerprints(256, shares: shares, &random))
    let attack = Linkage(compute: RecordScene.compute, candidates: 64, groupSizes: [2], neighbourQueries: 20)
    let (masked, control) = try RecordScene.measureBoth(attack, on: scene.evidence(&random), &random)
    #expect(try #require(control.value) < 0.3)
    #expect(abs(try #require(masked.value) - #require(control.value)) < 0.1)
    #expect(masked.detail("neighbour-graph overlap") == 1)
    #expect(control.detail("neighbour-graph overlap") == 1)
  }

  /// Unit vectors of different axes are all as long and as far apart: two sets of them are the same up to rotation. 200 tosses of a coin
  /// spread by 0.035; four times that is allowed.
  @Test func matchingGameOfUnitVectors() throws {
    var random = SplitMix(seed: 2)
    var rows = Tensor<Float>(zeros: [40, 40])
    for row in 0..<40 { rows[row, row] = 1 }
    let scene = RecordScene(rows: rows, sample: RecordScene.normals(1, 40, &random))
    let attack = MatchingGame(compute: RecordScene.compute, recordsOfSet: 12, games: 200)
    let (masked, control) = try RecordScene.measureBoth(attack, on: scene.evidence(&random), &random)
    #expect(abs(try #require(control.value) - 0.5) < 0.141)
    #expect(abs(try #require(masked.value) - 0.5) < 0.141)
  }

  /// Gradients of no loss, of which the least entry alone is the label: signs tell it whole, directions in part. Clusters of both views begin
  /// anywhere, and so come out differently by some hundredths.
  @Test func labelsOfSigns() throws {
    var random = SplitMix(seed: 3)
    let (count, width) = (600, 5)
    let plain = RecordScene.normals(count, width, &random)
    let key = RecordScene.key(width, .orthogonal, &random)
    var scene = RecordScene(rows: RecordScene.normals(2, 2, &random), sample: RecordScene.normals(2, 2, &random))
    func turned(_ rows: Tensor<Float>) -> Tensor<Float> {
      rows.times(key.converted(), otherTransposed: true, compute: RecordScene.compute)
    }
    let outputs = RecordScene.normals(count, width, &random)
    scene.plainOutputs = outputs
    scene.outputs = turned(outputs)
    scene.plainTargets = .gradients(plain)
    scene.targets = .gradients(turned(plain))
    scene.labels = .classes(
      (0..<count).map { row in Int32((0..<width).min { plain[row, $0] < plain[row, $1] } ?? 0) })
    let attack = LabelInference(compute: RecordScene.compute, restarts: 4, draws: 40)
    let (masked, control) = try RecordScene.measureBoth(attack, on: scene.evidence(&random), &random)
    #expect(try #require(control.value) < 0.7)
    #expect(abs(try #require(masked.value) - #require(control.value)) < 0.2)
  }
}
