import Datasets
import Foundation
import Testing

/// Names and data are bound to a run: a wrong result must not come without a word.
struct BoundDataTests {
  private let site: Site

  init() throws {
    site = try Site()
    try AnnDataFile().write(to: site["data.h5"])
    try site.write(JobText(features: "X", hidden: "[8]", epochs: 60).text, to: "job.yaml")
  }

  private func predict(_ file: String) throws -> Ended {
    try site.encryptor("predict", "run", "--data", file, "--out", "predictions.h5", "--threads", "1")
  }

  private func classes() throws -> [Int64] {
    try HDF5File(path: site["predictions.h5"]).readIntegers(path: "predictions", rows: 60)
  }

  /// A run's names as a file keeps them.
  private struct Names: Decodable {
    let columns: [String]?
    let classes: [String]?
    let rows: [String]?
  }

  private func names(_ file: String) throws -> Names {
    try JSONDecoder().decode(Names.self, from: site.bytes(file))
  }

  @Test func predictPutsPermutedColumnsInOrder() throws {
    let trainer = try site.startTrainer()
    let run = try site.run(.encryptor, site.launch(trainer: trainer.endpoint))
    #expect(run.code == 0, "\(run.errors)")
    #expect(try names("run/names.json").rows?.count == 60)
    #expect(try names("run/model/names.json").columns == AnnDataFile().names)
    #expect(try names("run/model/names.json").rows == nil)

    #expect(try predict("data.h5").code == 0)
    let expected = try classes()
    #expect(Set(expected).count > 1)
    // Ordered otherwise, and with a column that the model does not know.
    try AnnDataFile(order: [2, 0, 3, 1]).write(to: site["permuted.h5"])
    #expect(try predict("permuted.h5").code == 0)
    #expect(try classes() == expected)
    var wider = DataFile()
    wider.columns = 5
    try AnnDataFile(data: wider, order: [4, 3, 2, 1, 0], names: ["CD4", "CD8A", "MS4A1", "NKG7", "LYZ"])
      .write(to: site["wider.h5"])
    #expect(try predict("wider.h5").code == 0)
    #expect(try classes() == expected)

    try AnnDataFile(names: ["CD4", "CD8A", "MS4A1", "LYZ"]).write(to: site["missing.h5"])
    try predict("missing.h5").expectRefusal(3, saying: "1 of the model's 4 columns are missing: NKG7")
    try AnnDataFile(names: nil).write(to: site["nameless.h5"])
    try predict("nameless.h5").expectRefusal(3, saying: "has no names of columns")
    try AnnDataFile(names: ["CD4", "CD8A", "MS4A1", "MS4A1"]).write(to: site["repeated.h5"])
    try predict("repeated.h5").expectRefusal(3, saying: "NKG7")

    // As a run of a version before.
    for file in ["run/names.json", "run/model/names.json"] { try FileManager.default.removeItem(atPath: site[file]) }
    let old = try predict("permuted.h5")
    #expect(old.code == 0)
    #expect(old.errors.contains("warning: "), "\(old.errors)")
  }

  /// Killed when rows have been sent; then resumed on other data.
  @Test func resumeOnOtherDataIsRefused() throws {
    try site.write(JobText(features: "X", epochs: 150, batch: 4).text, to: "job.yaml")
    let trainer = try site.startTrainer()
    let owner = try site.start(.encryptor, site.launch(trainer: trainer.endpoint))
    #expect(Waiting.until(60) { site.text("run/history.jsonl").split(separator: "\n").count > 50 })
    owner.signal(SIGKILL)
    _ = try owner.wait()
    let resume = site.launch(trainer: trainer.endpoint, ["--resume"])

    var other = DataFile()
    let feature = other.feature
    other.feature = { row, column in feature(row, column) + (row == 17 && column == 2 ? 0.5 : 0) }
    try AnnDataFile(data: other).write(to: site["data.h5"])
    try site.run(.encryptor, resume).expectRefusal(
      3, saying: "has changed since the run began: the features differ", afterProgress: true)
    try AnnDataFile(order: [1, 0, 2, 3]).write(to: site["data.h5"])
    try site.run(.encryptor, resume).expectRefusal(3, saying: "the names of the columns differ")
    var relabelled = DataFile()
    relabelled.label = { Int64(($0 + 1) % 3) }
    try AnnDataFile(data: relabelled).write(to: site["data.h5"])
    try site.run(.encryptor, resume).expectRefusal(3, saying: "the labels differ")

    try AnnDataFile().write(to: site["data.h5"])
    // As a run of a version before.
    try FileManager.default.removeItem(atPath: site["run/state/data.json"])
    let resumed = try site.run(.encryptor, resume)
    #expect(resumed.code == 0, "\(resumed.errors)")
    #expect(resumed.errors.contains("warning: the run began with a version that kept no digest"), "\(resumed.errors)")
    #expect(site.exists("run/state/data.json"))
  }
}
