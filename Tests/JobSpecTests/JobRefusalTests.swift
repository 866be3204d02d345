import Foundations
import Foundation
import Testing

@testable import JobSpec

@Suite struct JobRefusalTests {
  private func refusal(_ section: String) -> JobSpecError? {
    JobFixture.refusal(JobFixture.smallest(with: section))
  }

  @Test func theSmallestJobItselfIsAccepted() {
    #expect(JobFixture.refusal(JobFixture.smallest) == nil)
    #expect(JobFixture.refusal(JobFixture.example) == nil)
  }

  @Test func anUnknownKeySuggestsTheNearestKnownOne() {
    let error = refusal("train: {epochs: 3, bacth: 8}")
    #expect(
      error?.description.hasPrefix("job.yaml:6:20: unknown key `train.bacth`; did you mean `train.batch`?") == true)
    #expect(error?.kind == .usage)
    #expect(refusal("optimiser: {}")?.description.contains("did you mean `optimizer`?") == true)
    #expect(refusal("train: {micro-batch: 8}")?.description.contains("`train.micro_batch`?") == true)
  }

  @Test func anUnknownKeyThatBelongsElsewhereSuggestsItsPlace() {
    #expect(refusal("epochs: 3")?.description.contains("did you mean `train.epochs`?") == true)
  }

  @Test func anUnknownKeyUnlikeAnyOtherListsTheKnownOnes() {
    #expect(
      refusal("schedule: {zzzzzz: 3}")?.reason
        == .unknownKey("schedule.zzzzzz", suggestion: nil, known: ["warmup", "decay"]))
  }

  @Test func aKeyWithADotDoesNotReachIntoASection() {
    guard case .unknownKey = refusal("train.epochs: 3")?.reason else {
      Issue.record("accepted")
      return
    }
  }

  @Test(arguments: [
    ("train: {epochs: ten}", "an integer", "text"), ("train: {epochs: 1.5}", "an integer", "a number"),
    ("train: {epochs: \"3\"}", "an integer", "quoted text"), ("train: {epochs: }", "an integer", "nothing"),
    ("train: {epochs: [3]}", "an integer", "a list"), ("train: 3", "a mapping of keys", "an integer"),
    ("train:", "a mapping of keys", "nothing"), ("optimizer: {lr: fast}", "a number", "text"),
    ("optimizer: {lr: .nan}", "a number", "text"), ("optimizer: {lr: .inf}", "a number", "text"),
    ("optimizer: {lr: nan}", "a number", "text"), ("model: {mlp: {hidden: 512}}", "a list of integers", "an integer"),
    ("model: {mlp: {hidden: [a]}}", "a list of integers", "text"), ("name: {a: b}", "text", "a mapping"),
    ("name: ~", "text", "nothing"), ("masking: {exact: yes}", "true or false", "text"),
    ("optimizer: {lr: 1, clip_norm: off}", "a number or `none`", "text"),
  ])
  func wrongType(section: String, expected: String, found: String) {
    refusal(section).expectWrongType(expected, found)
  }

  @Test(arguments: [
    ("train: {epochs: 0}", "an integer from 1 to 100000"), ("train: {epochs: -1}", "an integer from 1 to 100000"),
    ("train: {seed: 99999999999999999999999}", "an integer from 0 to 4294967295"),
    ("optimizer: {lr: 0}", "a number above 0 and at most 1000"),
    ("optimizer: {lr: 1e999}", "a number above 0 and at most 1000"),
    ("optimizer: {lr: 1e-999}", "a number above 0 and at most 1000"),
    ("optimizer: {lr: 1, momentum: 1}", "a number at least 0 and below 1"),
    ("optimizer: {lr: 1, name: adam}", "one of sgd, muon, adamw"),
    ("optimizer: {lr: 1, clip_norm: 0}", "a number above 0 and at most 1000000, or none"),
    ("data: {file: f, features: x, labels: y, split: {validation: 1}}", "a number at least 0 and below 1"),
    ("model: {mlp: {hidden: [0]}}", "a list of 0 to 64 integers, each from 1 to 1048576"),
    ("name: a/b", "1 to 64 letters, digits, `.`, `_` or `-`"),
    ("name: \"\"", "1 to 64 letters, digits, `.`, `_` or `-`"),
    ("trainer: http://x", "tcp://HOST:PORT with a port from 1 to 65535"), ("task: ranking", "one of classification"),
    ("schedule: {warmup: 1.1}", "a number at least 0 and at most 1"),
    ("checkpoint: {every_steps: 0}", "an integer from 1 to 1000000000"),
    ("masking: {padding: 5000}", "an integer from 0 to 4096"),
  ])
  func outOfRangeStatesTheDocumentedRange(section: String, range: String) {
    refusal(section).expectOutOfRange(range)
  }

  @Test func tooManyHiddenLayers() {
    let widths = Array(repeating: "1", count: 65).joined(separator: ",")
    guard case .outOfRange("model.mlp.hidden", _)? = refusal("model: {mlp: {hidden: [\(widths)]}}")?.reason else {
      Issue.record("accepted")
      return
    }
  }

  @Test(arguments: ["name", "data", "task", "model", "optimizer"])
  func aMissingRequiredKeyIsNamed(key: String) {
    let text = JobFixture.smallest.split(separator: "\n").filter { !$0.hasPrefix(key + ":") }.joined(separator: "\n")
    let expected = ["data": "data.file", "optimizer": "optimizer.lr"][key] ?? key
    guard case .missingKey(expected, _)? = JobFixture.refusal(text)?.reason else {
      Issue.record("\(String(describing: JobFixture.refusal(text)))")
      return
    }
  }

  @Test(arguments: [
    ("train: {batch: 8, micro_batch: 16}", "must be at most `train.batch`"),
    ("data: {file: f, features: x, labels: y, split: {by: g, modulo: 4, equals: 4}}", "must be below"),
    ("data: {file: f, features: x, labels: y, split: {by: g, seed: 4}}", "two kinds of split"),
    ("data: {file: f, features: x, labels: y, split: {validation: 0.5, validation_rows: r}}", "two kinds of split"),
    ("optimizer: {name: adamw, lr: 1, momentum: 0.9}", "adamw has no momentum"),
    ("optimizer: {name: adamw, lr: 1, nesterov: false}", "adamw has no Nesterov"),
    ("optimizer: {name: muon, lr: 1, nesterov: true}", "muon always takes the Nesterov form"),
    ("optimizer: {lr: 1, momentum: 0, nesterov: true}", "needs `optimizer.momentum` above 0"),
  ])
  func keysThatContradictEachOther(section: String, words: String) {
    guard let error = refusal(section), case .contradiction(let sentence) = error.reason else {
      Issue.record("\(section): \(String(describing: refusal(section)))")
      return
    }
    #expect(sentence.contains(words))
    #expect(error.location?.line == JobFixture.smallest(with: section).split(separator: "\n").count)
  }

  @Test func keepBestWithoutValidationRows() {
    let data = "data: {file: f, features: x, labels: y, split: {validation: 0}}"
    #expect(JobFixture.refusal(JobFixture.smallest(with: data)) == nil)
    guard case .contradiction? = JobFixture.refusal(JobFixture.smallest(with: data), ["train.keep=best"])?.reason else {
      Issue.record("accepted")
      return
    }
  }

  @Test func anIncompleteModuloSplit() {
    let error = refusal("data: {file: f, features: x, labels: y, split: {by: g, modulo: 4}}")
    guard case .missingKey("data.split.equals", _)? = error?.reason else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test func aMissingDataFile() throws {
    let fixture = try JobFixture()
    let error = #expect(throws: JobSpecError.self) { try fixture.resolve(JobFixture.smallest, ["data.file=no.h5"]) }
    #expect(error?.reason == .missingFile(key: "data.file", path: fixture.directory + "/no.h5"))
    #expect(error?.kind == .usage)
    #expect(error?.location?.description == "--set data.file")
  }

  @Test func aDataFileThatIsADirectory() throws {
    let fixture = try JobFixture()
    let error = #expect(throws: JobSpecError.self) { try fixture.resolve(JobFixture.smallest, ["data.file=."]) }
    #expect(error?.reason == .notARegularFile(key: "data.file", path: fixture.directory))
  }

  @Test func aMissingJobFile() {
    let error = #expect(throws: JobSpecError.self) { try ResolvedJob.load(path: "/nowhere/job.yaml") }
    #expect(error?.kind == .usage)
    #expect(error?.description.contains("/nowhere/job.yaml") == true)
  }

  @Test func aJobFileThatIsADirectory() throws {
    let fixture = try JobFixture()
    let path = fixture.directory
    let error = #expect(throws: JobSpecError.self) { try ResolvedJob.load(path: path) }
    #expect(error?.reason == .unreadable(path: path, problem: "not a regular file", isPermission: false))
  }

  @Test func overridesAreRefusedLikeTheFile() {
    #expect(JobFixture.refusal(JobFixture.smallest, ["train.epochs"])?.reason == .malformedOverride)
    #expect(JobFixture.refusal(JobFixture.smallest, ["=3"])?.reason == .malformedOverride)
    let unknown = JobFixture.refusal(JobFixture.smallest, ["train.epoch=3"])
    #expect(
      unknown?.description.hasPrefix("--set train.epoch: unknown key `train.epoch`; did you mean `train.epochs`?")
        == true)
    #expect(JobFixture.refusal(JobFixture.smallest, ["train.epochs="])?.description.contains("not nothing") == true)
    guard case .outOfRange? = JobFixture.refusal(JobFixture.smallest, ["name="])?.reason else {
      Issue.record("accepted")
      return
    }
  }
}
