import Testing
import TestSupport

@testable import LeakAudit

@Suite struct GroupMatchingTests {
  /// What was searched to its end says so though its time is over by then; what was not says that too.
  @Test func anOutcomeSaysWhetherAllRowsWereTried() throws {
    var random = SplitMix(seed: 1)
    let scene = RecordScene(
      rows: RecordScene.normals(64, 12, &random), sample: RecordScene.normals(64, 12, &random))
    let evidence = scene.evidence(&random)
    let linkage = LinkageScene(
      candidates: Records(rows: evidence.truth.rows, lengths: nil), view: evidence.masked, compute: RecordScene.compute)
    let noise = LinkageNoise(
      share: 0, meanSquare: linkage.meanSquare, width: linkage.width, usesNorms: linkage.usesNorms)
    let matching = GroupMatching([0, 1, 2, 3], in: linkage, noise: noise, settings: GroupMatching.Settings())
    let (passed, far) = (Deadline(after: .zero), Deadline(after: .seconds(60)))
    #expect(!matching.outcome(until: passed).isComplete)
    #expect(passed.hasCutShort)
    let whole = matching.outcome(until: far)
    #expect(whole.isComplete && whole.evidence > 0)
    #expect(!far.hasCutShort)
  }
}
