import Files
import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import TestSupport
import Testing

@testable import OwnerRole

/// An encoder's checkpoint without a pooler: the library's class has one, and draws it where there is none. So does a job, and its result has
/// it, so that nothing is drawn when it is loaded.
@Suite struct DrawnPoolerTests {
  private static let weight = "bert.pooler.dense.weight"
  private let directory: TemporaryDirectory
  private let data: TokenData

  init() throws {
    directory = try TemporaryDirectory()
    data = try TokenData(in: directory)
  }

  private func prepared(_ change: (inout TokenJob) -> Void = { _ in }) throws -> PreparedJob {
    let job = TokenJob().changing { $0.hasPooler = false }.changing(change)
    return try PreparedJob(job: try job.resolved(on: data), secret: try OrderSecret(ephemeralWithSeed: 1))
  }

  private func write(_ prepared: PreparedJob) throws -> String {
    let start = prepared.shape.startingWeights(secret: prepared.secret)
    let trained = NamedTensors<Float>(
      try prepared.shape.structure.parameters.filter(\.isTrained).map { ($0.name, try start.tensor($0)) })
    let model = directory.url("model")
    try ModelDirectory(model).write(trained, shape: prepared.shape, standardization: nil, names: nil)
    return model.path
  }

  @Test(arguments: [TrainedPart.all, .head]) func itIsDrawnTrainedAndWritten(train: TrainedPart) throws {
    let prepared = try prepared { $0.train = train }
    #expect(prepared.shape.data.drawsPooler == true)
    let pooler = try #require(prepared.shape.structure.parameters.first { $0.name == Self.weight })
    #expect(pooler.isTrained)
    // initializer_range is 0.02 where config.json says nothing.
    #expect(pooler.origin == .normal(deviation: 0.02))
    let path = try write(prepared)
    let file = try SafetensorsFile(path: path + "/model.safetensors")
    let written: Tensor<Float> = try file.tensor(Self.weight)
    let start: Tensor<Float> = try prepared.shape.startingWeights(secret: prepared.secret).tensor(pooler)
    #expect(written == start)
    #expect(start.elements.contains { $0 != 0 } && start.elements.allSatisfy { abs($0) < 0.2 })
    #expect(try file.tensor("bert.pooler.dense.bias", as: Float.self).elements.allSatisfy { $0 == 0 })
    let readme = try String(contentsOfFile: path + "/README.md", encoding: .utf8)
    #expect(!readme.contains("does not pool as this model was trained"))
    // Its own weights, not drawn again.
    let read: Tensor<Float> = try ModelDirectory(directory.url("model")).weights(prepared.shape).tensor(pooler)
    #expect(read == start)
  }

  @Test func itIsSaidBeforeTheRun() throws {
    let notices = SendingNotices.of(try prepared())
    #expect(notices.contains { $0.contains("no pooler") && $0.contains("BertForSequenceClassification") })
    #expect(!SendingNotices.of(try prepared { $0.pool = .mean }).contains { $0.contains("pooler") })
    #expect(!SendingNotices.of(try prepared { $0.hasPooler = true }).contains { $0.contains("pooler") })
  }

  /// Adapters are loaded onto the checkpoint, for which another pooler would be drawn each time.
  @Test func adaptersOnAModelThatIsNeverTheSame() throws {
    let error = #expect(throws: OwnerError.self) { _ = try prepared { $0.train = TokenJob.lora(["query"]) } }
    #expect(error?.kind == .usage)
    #expect(error?.description.contains("has no pooler") == true)
    _ = try prepared { ($0.train, $0.pool) = (TokenJob.lora(["query"]), .mean) }
  }

  /// What a version that did without has trained is read as it was; it is not trained on as something else.
  @Test func aRunThatDidWithout() throws {
    let prepared = try prepared()
    var data = prepared.shape.data
    data.drawsPooler = nil
    let shape = try JobShape(job: prepared.job, data: data)
    #expect(!shape.structure.parameters.contains { $0.name == Self.weight })
    let site = try Site<Float>()
    let run = try OwnedRun<Float>(prepared.job, keys: site.keys, in: site.directory.url("run"))
    var state = run.state
    state.data.drawsPooler = nil
    #expect(throws: OwnerError.self) { try state.check(run.prepared, run.directory) }
    try run.state.check(run.prepared, run.directory)
  }
}
