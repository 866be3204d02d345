import ArgumentParser
import Datasets

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "List what an HDF5 file holds: path, shape, type, chunks, filters, missing values.",
    discussion: "Example: encryptor inspect tox21_morgan2048.h5")

  @Argument(help: "The file.", completion: .file())
  var file: String

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let inspection = try HDF5File(path: file).inspect()
    print(json ? try JSONText.of(inspection) : InspectionTable(inspection).text)
  }
}
