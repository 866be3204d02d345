import Models
import Testing

@testable import JobSpec

@Suite struct SurvivalJobTests {
  static let job = """
    name: small
    data: {file: rows.h5, features: x, time: days, event: died}
    task: survival
    model: {mlp: {hidden: []}}
    optimizer: {lr: 0.1}
    """

  private func expectRefusal(
    _ overrides: [String], _ words: String, sourceLocation: Testing.SourceLocation = #_sourceLocation
  ) {
    let error = JobFixture.refusal(Self.job, overrides)
    #expect(error?.description.contains(words) == true, "\(String(describing: error))", sourceLocation: sourceLocation)
  }

  @Test func itsColumnsAreResolvedAndItsMicroBatchIsTheBatch() throws {
    let fixture = try JobFixture()
    let found = try fixture.resolve(Self.job, ["train.batch=500"])
    #expect(found.data.survival == SurvivalColumns(time: "days", event: "died"))
    #expect(found.data.labels == nil)
    #expect((found.train.batch, found.train.microBatch) == (500, 500))
    #expect(try fixture.resolve(found.yaml()) == found)
  }

  @Test func whatDoesNotFitIsRefused() {
    expectRefusal(["data.labels=y"], "`task: survival` reads `data.time` and `data.event`")
    expectRefusal(["loss.where=trainer"], "set `loss.where: owner`")
    expectRefusal(["train.micro_batch=8"], "takes the loss over whole batches")
    expectRefusal(["optimizer.name=adamw"], "the loss does not depend on the last bias")
    expectRefusal(["task=regression", "data.labels=y"], "`data.time` is for `task: survival`")
  }

  @Test(arguments: ["time", "event"]) func bothColumnsAreNeeded(_ key: String) {
    let other = key == "time" ? "event" : "time"
    let text = JobFixture.job(Self.job, with: "data: {file: rows.h5, features: x, \(other): c}")
    guard case .missingKey("data.\(key)", _)? = JobFixture.refusal(text)?.reason else {
      Issue.record("accepted")
      return
    }
  }
}
