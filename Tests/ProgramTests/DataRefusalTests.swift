import Foundation
import Testing

/// Files that cannot be trained on: exit code 3 and what is wrong where. What only reading the rows shows is found with a trainer there, and
/// leaves a run that goes on once the file is put right.
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
    try site.encryptor("inspect", "absent.h5").expectRefusal(2, saying: "absent.h5")
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
