import Foundation
import Testing
import TestSupport

/// Help, versions, and arguments that are wrong.
@Suite(.waiting)
struct UsageTests {
  private static let commands: [(Program, [String])] = [
    (.encryptor, []), (.trainer, []), (.encryptor, ["keygen"]), (.encryptor, ["run"]), (.encryptor, ["submit"]),
    (.encryptor, ["status"]), (.encryptor, ["retrieve"]), (.encryptor, ["cancel"]), (.encryptor, ["predict"]),
    (.encryptor, ["verify"]), (.encryptor, ["plan"]), (.encryptor, ["inspect"]), (.trainer, ["keygen"]),
    (.trainer, ["serve"]), (.trainer, ["status"]), (.trainer, ["verify-log"]), (.aggregator, []),
    (.aggregator, ["keygen"]), (.aggregator, ["serve"]), (.aggregator, ["status"]), (.aggregator, ["verify-log"]),
    (.encryptor, ["charter"]), (.encryptor, ["group-key"]), (.encryptor, ["join"]), (.encryptor, ["simulate"]),
    (.encryptor, ["deploy"]),
    (.encryptor, ["query"]), (.encryptor, ["rotate"]), (.encryptor, ["clients"]), (.encryptor, ["undeploy"]),
    (.encryptor, ["deployments"]),
  ]

  @Test(arguments: commands.indices)
  func helpShowsAnExample(_ index: Int) throws {
    let (program, command) = Self.commands[index]
    let ended = try Site(keys: false).run(program, command + ["--help"])
    #expect(ended.code == 0)
    #expect(ended.errors == "")
    #expect(ended.output.contains("Example:"))
    #expect(ended.output.contains("USAGE: "))
    // The example is of this command.
    let name = ([program.rawValue] + command).joined(separator: " ")
    #expect(ended.output.components(separatedBy: "Example:").last?.contains(name) == true)
  }

  /// Options that several roles share speak to each of them.
  @Test func helpSpeaksOfTheRoleAtHand() throws {
    let site = try Site(keys: false)
    /// Without line breaks.
    func help(_ program: Program, _ command: String) throws -> String {
      try site.run(program, [command, "--help"]).output.split { $0 == " " || $0 == "\n" }.joined(separator: " ")
    }
    for command in ["keygen", "serve", "status", "verify-log"] {
      let text = try help(.aggregator, command)
      for word in ["trainer", "owner", "Owner", "--aggregator-key", "jobs and checkpoints"] {
        #expect(!text.contains(word), "aggregator \(command): \(word)")
      }
      #expect(try !help(.trainer, command).contains("aggregator"))
    }
    #expect(try help(.aggregator, "keygen").contains("charter names aggregator.pub"))
    #expect(try help(.aggregator, "serve").contains("a site that listens (encryptor join --listen)"))
    #expect(try help(.trainer, "keygen").contains("Owners pin trainer.pub with --trainer-key."))
    let join = try help(.encryptor, "join")
    #expect(join.contains("Wait here for the aggregator, started with --connect"))
    #expect(join.contains("Seconds to wait for an aggregator"))
    #expect(join.contains("Threads for local steps and masking"))
    #expect(try help(.encryptor, "run").contains("Wait here for the trainer, started with --connect"))
  }

  @Test(arguments: Program.allCases)
  func version(_ program: Program) throws {
    let ended = try Site(keys: false).run(program, ["--version"])
    #expect(ended.code == 0)
    #expect(ended.output.split(separator: ".").count == 3)
  }

  @Test(arguments: [
    ["frobnicate"], ["run"], ["plan", "a.yaml", "--frobnicate"], ["verify", "a.yaml", "--steps", "0"],
  ])
  func badArguments(_ arguments: [String]) throws {
    let ended = try Site(keys: false).run(.encryptor, arguments)
    #expect(ended.code == 2)
    #expect(ended.errors.hasPrefix("Error: "))
    #expect(ended.errors.hasSuffix("\n"))
    #expect(ended.output == "")
  }

  @Test(arguments: [
    ["--memory-limit", "much"], ["--threads", "0"], ["--log-format", "xml"], ["--jobs", "0"], ["--jobs", "65"],
    ["--jobs", "two"], ["--turn", "0"], ["--turn", "soon"], ["--turn", "25h"], ["--turn", "9223372036854775807h"],
    ["--turn", "-1m"],
  ])
  func badTrainerArguments(_ arguments: [String]) throws {
    let ended = try Site(keys: false).run(
      .trainer, ["serve", "--keys", "k", "--authorized", "a", "--store", "s"] + arguments)
    #expect(ended.code == 2)
    #expect(ended.errors.hasPrefix("Error: "))
    #expect(ended.errors.contains(arguments[0]))
  }

  @Test func anAddressThatIsNone() throws {
    let site = try Site()
    try site.run(
      .trainer,
      ["serve", "--keys", "trainer", "--authorized", "owners.txt", "--store", "store", "--bind", "localhost"]
    ).expectRefusal(2, saying: "'localhost' is not an address; write tcp://HOST:PORT", program: .trainer)
  }

  @Test func aPortInUse() throws {
    let site = try Site()
    let trainer = try site.startTrainer()
    try site.run(
      .trainer,
      ["serve", "--keys", "trainer", "--authorized", "owners.txt", "--store", "other", "--bind", trainer.endpoint]
    ).expectRefusal(2, saying: trainer.endpoint, "choose another", program: .trainer)
  }

  /// A full disk under redirected results is told, and not by a crash.
  @Test(arguments: Program.allCases) func resultsThatCannotBeWritten(_ program: Program) throws {
    let site = try Site(keys: false)
    let ended = try site.run(program, ["--help"], largestFile: 512)
    #expect(ended.code == 8)
    #expect(ended.errors.hasPrefix("\(program.rawValue): cannot write standard output"))
  }

  /// What asks a trainer's store is read by scripts, which go by the exit code.
  @Test(arguments: [StandardOutputPlace.fullDevice, .closed])
  func answersAboutAStoreThatCannotBeWritten(_ output: StandardOutputPlace) throws {
    let site = try Site()
    let trainer = try site.startTrainer()
    trainer.process.signal(SIGTERM)
    #expect(try trainer.process.wait() == 0)
    for command in [["verify-log", "store"], ["status", "--store", "store"]] {
      #expect(try site.run(.trainer, command).code == 0)
      try site.run(.trainer, command, output: output)
        .expectRefusal(8, saying: "cannot write standard output", program: .trainer)
    }
  }
}

/// Job specifications that are wrong: exit code 2, the place in the file, and nothing made or sent.
@Suite(.waiting)
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

/// Files that cannot be trained on: exit code 3 and what is wrong where. What only reading the rows shows is found with a trainer there, and
/// leaves a run that goes on once the file is put right.
@Suite(.waiting)
struct DataRefusalTests {
  private let site: Site

  init() throws {
    site = try Site()
    try DataFile().write(to: site["data.h5"])
    try site.write(JobText().text, to: "job.yaml")
  }

  private func plan() throws -> Ended { try site.encryptor("plan", "job.yaml") }

  @Test func notHDF5() throws {
    try site.write(String(repeating: "comma,separated\n", count: 200), to: "data.h5")
    try plan().expectRefusal(3, saying: site["data.h5"], "not an HDF5 file")
    try site.encryptor("inspect", "data.h5").expectRefusal(3, saying: "data.h5", "not an HDF5 file")
  }

  @Test func truncated() throws {
    let bytes = try site.bytes("data.h5")
    try bytes.prefix(bytes.count / 2).write(to: URL(filePath: site["data.h5"]))
    try plan().expectRefusal(3, saying: site["data.h5"], "cut off")
  }

  @Test func datasetMissing() throws {
    try site.write(JobText(features: "fingerprints").text, to: "job.yaml")
    try plan().expectRefusal(3, saying: site["data.h5"], "fingerprints")
  }

  @Test func wrongRank() throws {
    try site.write(JobText(features: "y").text, to: "job.yaml")
    try plan().expectRefusal(3, saying: "data.h5", "y")
  }

  @Test func stringsWhereNumbersAreDue() throws {
    DataFile.writeStrings(["a", "b"], to: site["text.h5"])
    try site.write(JobText(file: "text.h5", labels: "x").text, to: "job.yaml")
    try plan().expectRefusal(3, saying: "text.h5", "x")
  }

  @Test func zeroRows() throws {
    try DataFile(rows: 0).write(to: site["data.h5"])
    try plan().expectRefusal(3, saying: "data.h5")
  }

  @Test func missingFileToInspect() throws {
    try site.encryptor("inspect", "absent.h5").expectRefusal(3, saying: "absent.h5")
  }

  /// Rows are read when they are masked: the run stops, says which row, and goes on with a good file.
  private func refuseWhileMasking(_ spoil: () throws -> Void, saying texts: String) throws {
    let good = try site.bytes("data.h5")
    try spoil()
    let trainer = try site.startTrainer()
    try site.run(.encryptor, site.launch(trainer: trainer.endpoint))
      .expectRefusal(3, saying: site["data.h5"], texts, afterProgress: true)
    try good.write(to: URL(filePath: site["data.h5"]))
    let resumed = try site.run(.encryptor, site.launch(trainer: trainer.endpoint, ["--resume"]))
    #expect(resumed.code == 0, "\(resumed.errors)")
    #expect(site.exists("run/model/model.safetensors"))
  }

  @Test func notANumberInFeatures() throws {
    try refuseWhileMasking(
      {
        var file = DataFile()
        let feature = file.feature
        file.feature = { row, column in row == 41 && column == 2 ? .nan : feature(row, column) }
        try file.write(to: site["data.h5"])
      }, saying: "row 41")
  }

  @Test func infinityInFeatures() throws {
    try refuseWhileMasking(
      {
        var file = DataFile()
        let feature = file.feature
        file.feature = { row, column in row == 7 && column == 0 ? -.infinity : feature(row, column) }
        try file.write(to: site["data.h5"])
      }, saying: "row 7")
  }

  /// The values fill most of the file, so its middle lies in their compressed chunk, whose checksum then fails.
  @Test func damagedChunk() throws {
    var file = DataFile(rows: 4000)
    var state: UInt32 = 1
    let noise = (0..<16_000).map { _ in
      state = state &* 1_664_525 &+ 1_013_904_223
      return Float(state >> 8) / Float(1 << 24)
    }
    file.feature = { row, column in noise[row * 4 + column] }
    try file.write(to: site["data.h5"])
    try refuseWhileMasking(
      {
        var bytes = try site.bytes("data.h5")
        let middle = bytes.count / 2
        bytes.replaceSubrange(middle..<(middle + 64), with: [UInt8](repeating: 0xAA, count: 64))
        try bytes.write(to: URL(filePath: site["data.h5"]))
      }, saying: "x")
  }

  @Test func otherWidthToPredict() throws {
    let trainer = try site.startTrainer()
    #expect(try site.run(.encryptor, site.launch(trainer: trainer.endpoint)).code == 0)
    try DataFile(columns: 5).write(to: site["wide.h5"])
    try site.encryptor("predict", "run", "--data", "wide.h5", "--out", "p.h5")
      .expectRefusal(3, saying: "5 features", "4")
    #expect(!site.exists("p.h5"))
  }

  /// A run goes on with the data it began with.
  @Test func dataThatChangedSinceTheRunBegan() throws {
    let silent = Site.unusedEndpoint()
    #expect(try site.run(.encryptor, site.launch(trainer: silent, ["--patience", "0"])).code == 5)
    try DataFile(columns: 5).write(to: site["data.h5"])
    try site.run(.encryptor, site.launch(trainer: silent, ["--patience", "0", "--resume"]))
      .expectRefusal(3, saying: "has changed since the run began")
  }
}
