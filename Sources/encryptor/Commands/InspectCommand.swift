import Foundations
import ArgumentParser
import Datasets

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "List what an HDF5 file holds: path, shape, type, chunks, filters, missing values.",
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

/// What `inspect` found, as tables: datasets, fields of compound datasets, groups with a meaning, and what would be refused.
struct InspectionTable {
  private let inspection: FileInspection

  init(_ inspection: FileInspection) {
    self.inspection = inspection
  }

  var text: String {
    var lines = [inspection.file, ""]
    lines +=
      TextTable(
        header: ["dataset", "shape", "type", "layout", "filters", "missing", "note"],
        rows: inspection.datasets.flatMap(rows)
      ).lines
    if !inspection.groups.isEmpty {
      lines += [""]
      lines +=
        TextTable(
          header: ["group", "holds", "shape", "entries"],
          rows: inspection.groups.map { group in
            [
              group.path, group.role.rawValue, shape(group.shape),
              (group.storedEntries ?? group.categoryCount).map(QuantityText.count) ?? "",
            ]
          }
        ).lines
    }
    if !inspection.refusedObjects.isEmpty {
      lines += ["", "refused when a job names it:"]
      lines += inspection.refusedObjects.map { "  \($0.path): \($0.problem)" }
    }
    return lines.joined(separator: "\n")
  }

  private func rows(_ dataset: DatasetInspection) -> [[String]] {
    let layout = dataset.chunks.map { "chunks \(shape($0))" } ?? dataset.layout
    let own = [
      dataset.path, shape(dataset.shape), dataset.type, layout, dataset.filters.joined(separator: ", "),
      dataset.missing.map(QuantityText.count) ?? "",
      dataset.refusal ?? dataset.categories.map { "categories in \($0)" } ?? "",
    ]
    return [own]
      + dataset.fields.map { field in
        [
          "  [\(field.name)]", "", field.type, "", "", field.missing.map(QuantityText.count) ?? "",
          field.categories.map { "categories in \($0)" } ?? "",
        ]
      }
  }

  private func shape(_ shape: [Int]?) -> String {
    guard let shape else { return "" }
    return shape.isEmpty ? "scalar" : shape.map(String.init).joined(separator: " × ")
  }
}
