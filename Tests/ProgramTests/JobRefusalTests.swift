import Foundation
import Testing

/// Job specifications that are wrong: exit code 2, the place in the file, and nothing made or sent.
struct JobRefusalTests {
  private let site: Site

  init() throws {
    site = try Site()
    try DataFile().write(to: site["data.h5"])
  }

  /// Runs the job as it would be run in earnest; no trainer is needed, because none is asked.
  private func refuse(
    _ job: JobText, change: (String, String)? = nil, _ code: Int32 = 2, saying texts: String,
    location: SourceLocation = #_sourceLocation
  ) throws {
    var text = job.text
    if let (old, new) = change {
      try #require(text.contains(old), sourceLocation: location)
      text = text.replacingOccurrences(of: old, with: new)
    }
    try site.write(text, to: "job.yaml")
    let ended = try site.run(.encryptor, site.launch(trainer: Site.unusedEndpoint(), ["--patience", "0"]))
    ended.expectRefusal(code, saying: texts, location: location)
    #expect(!site.exists("run"), "nothing is made", sourceLocation: location)
  }

  @Test func unknownKey() throws {
    try refuse(
      JobText(), change: ("epochs:", "epoch:"),
      saying: "job.yaml:14:9: unknown key `train.epoch`; did you mean `train.epochs`?")
  }

  @Test func wrongType() throws {
    try refuse(JobText(), change: ("batch: 16", "batch: many"), saying: "`train.batch` must be an integer, not text")
  }

  @Test func outOfRange() throws {
    try refuse(JobText(), change: ("lr: 0.05", "lr: -1"), saying: "`optimizer.lr` is out of range")
  }

  @Test func missingDataFile() throws {
    try refuse(JobText(file: "absent.h5"), saying: "`data.file`: there is no file \(site["absent.h5"])")
  }

  @Test func missingJobFile() throws {
    try site.run(.encryptor, site.launch(job: "absent.yaml", trainer: "tcp://127.0.0.1:1"))
      .expectRefusal(2, saying: "cannot read absent.yaml: No such file or directory")
  }

  @Test func textThatIsNotYAML() throws {
    try refuse(JobText(extra: "a: [1, 2"), saying: "not valid YAML")
  }

  @Test func malformedOverride() throws {
    try site.write(JobText().text, to: "job.yaml")
    try site.encryptor("plan", "job.yaml", "--set", "epochs").expectRefusal(2, saying: "expected key.path=value")
  }

  @Test func labelsThatAreNumbersForClassification() throws {
    try refuse(JobText(labels: "v"), 3, saying: "data.h5")
  }

  @Test func labelsThatAreStringsForRegression() throws {
    try DataFile().write(to: site["data.h5"])
    DataFile.writeStrings((0..<60).map { "t\($0 % 3)" }, to: site["text.h5"])
    try refuse(JobText(task: "regression", file: "text.h5"), 3, saying: "text.h5")
  }

  @Test func labelsThatAreNotBinaryForMultilabel() throws {
    try refuse(JobText(task: "multilabel", labels: "v"), 3, saying: "data.h5")
  }

  @Test func moreClassesThanRows() throws {
    try DataFile(label: { Int64($0) * 5 }).write(to: site["data.h5"])
    try refuse(JobText(), 3, saying: "a class id beyond the number of rows")
  }

  @Test func fewerLabelsThanRows() throws {
    try refuse(JobText(labels: "x"), 3, saying: "data.h5")
  }

  @Test func anOptimizerThatWouldNotBeExact() throws {
    try refuse(
      JobText(), change: ("name: sgd, lr: 0.05, momentum: 0.9", "name: adamw, lr: 0.05"), saying: "masking.strength")
  }

  @Test func aSplitThatLeavesNothingToTrainOn() throws {
    try refuse(JobText(), change: ("validation: 0.25", "validation: 0.999"), 3, saying: "no rows to train on")
  }

  @Test func detachWithTheLossAtTheOwner() throws {
    try site.write(JobText().text, to: "job.yaml")
    try site.run(.encryptor, site.launch("submit", trainer: "tcp://127.0.0.1:1", ["--detach"]))
      .expectRefusal(2, saying: "loss.where: trainer")
  }
}
