import Foundation
import JobSpec
import Masking
import Models
import Protocol
import TestSupport
import Testing

@testable import OwnerRole

/// What is said of the rows that a host has seen.
@Suite(.waiting) struct SeenRowsTests {
  private func seen(
    _ count: Int, _ group: SymmetryGroup, training: HostTraining? = nil, tokens: Bool = false, noise: Bool = false
  ) -> SeenRows {
    SeenRows(
      count, training: training, input: Self.row(group, tokens: tokens), readsTokens: tokens, hasNoise: noise)
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
    #expect(seen(25, .orthogonal, tokens: true).text.hasPrefix("the host has seen 25 tokens of this deployment"))
  }

  @Test func otherKeysFallToOne() {
    #expect(Self.row(.permutation).knownRowsToKey == 1 && Self.row(.signedPermutation).knownRowsToKey == 1)
    #expect(seen(1, .permutation).text.hasPrefix("the host has seen 1 row of this deployment under all its keys."))
    #expect(seen(2, .permutation, noise: true).text.contains("noise"))
    #expect(Self.row(.trivial).knownRowsToKey == 0 && seen(2, .trivial).text.contains("it has read them"))
    #expect(
      seen(0, .orthogonal).text
        == "the host has seen 0 rows of this deployment under all its keys. The model's training, predictions and other deployments are not "
        + "counted.")
  }

  /// Three questions are not few for a host that has had the rows of the training.
  @Test func whoTrainedTheModelHasSeenMore() {
    let trained = seen(3, .orthogonal, training: HostTraining(rows: 52_500)).text
    #expect(trained.hasPrefix("the host has seen 3 rows of this deployment under all its keys, and 52500 rows of the"))
    #expect(trained.contains("knows 50 independent ones") && trained.contains("the other 52453 and every later one"))
    #expect(seen(3, .orthogonal, training: HostTraining(rows: 40)).text.contains("The key follows from 50 rows"))
    let unknown = seen(0, .orthogonal, training: HostTraining(rows: nil)).text
    #expect(unknown.contains("the rows of the model's training") && unknown.contains("knows 50 independent ones"))
    #expect(seen(.max, .orthogonal, training: HostTraining(rows: 1 << 50)).text.contains("knows 50"))
  }

  /// From the run's own files: the key of the trainer that it was trained at, and its summary.
  @Test func whetherTheHostTrainedItIsInTheClientsDirectory() throws {
    let fixture = try DeploymentFixture<Float>()
    let run = RunDirectory(
      root: try fixture.finishedRun(SmallJob().resolved(on: try SmallData(in: fixture.directory))))
    let source = try fixture.source(run.root)
    #expect(try source.training(at: fixture.hostKey) == nil)
    var state = try RunState.load(run)
    state.trainerKey = fixture.hostKey.z85
    try state.save(run)
    #expect(try source.training(at: fixture.hostKey) == HostTraining(rows: nil))
    try RunFile.write(
      RunReport(
        job: state.job, evaluations: [], steps: 1, trainingRows: 20, epochs: 1, rowsSeen: 24,
        seconds: .init(total: 1, reading: 0, masking: 0, waitingForTrainer: 0, loss: 0), bytesSent: 0,
        bytesReceived: 0, expansion: 1, ownerCPUSeconds: 0, trainerCPUSeconds: 0), to: run.summary)
    #expect(try source.training(at: fixture.hostKey) == HostTraining(rows: 24))
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    _ = try fixture.deployed(source)
    #expect(try fixture.given("ward").load().training == HostTraining(rows: 24))
    // A directory from before this was kept.
    let file = fixture.given("ward").description
    let text = try String(contentsOf: file, encoding: .utf8)
    try Data(text.replacing(#/"training" : \{[^}]*\},?/#, with: "").utf8).write(to: file)
    #expect(try fixture.given("ward").load().training == nil)
  }
}
