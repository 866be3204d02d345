import Foundations
import Files
import Datasets
import JobSpec
import Numerics

/// What a run is trained on, as sizes and hashes, in `state/data.json`: without it a resume on other data would train on unnoticed.
///
/// The hashes (XXH64) find mistakes; they do not protect against deliberate changes.
package struct DataDigest: Codable, Equatable {
  /// The form of the file.
  private var version = 1
  private let rows: Int
  /// Features, or tokens of the longest sample.
  private let columns: Int
  /// Of all values as they are read; nil until they are.
  private let features: String?
  /// Of the labels of all rows; nil where tokens are their own.
  private let labels: String?
  private let split: String
  private let columnNames: String?
  private let classNames: String?
  private let rowNames: String?

  /// - Parameter features: the hash of all values in the order of the file.
  init(_ prepared: PreparedJob, features: UInt64?) {
    rows = prepared.source.rows
    columns = prepared.shape.data.maximumTokens ?? prepared.shape.data.features
    self.features = features.map(\.hexadecimal)
    labels = prepared.labels.map(Self.hash)
    var hash = ContentHash()
    for part in [prepared.split.training, prepared.split.validation] {
      withUnsafeBytes(of: part.count) { hash.update($0) }
      part.withUnsafeBytes { hash.update($0) }
    }
    split = hash.value().hexadecimal
    columnNames = prepared.names.columns.map(Self.hash)
    classNames = prepared.names.classes.map(Self.hash)
    rowNames = prepared.names.rows.map(Self.hash)
  }

  /// - Returns: nil when none is kept.
  /// - Throws: `OwnerError.run` when it cannot be read; `FileError`.
  static func read(_ directory: RunDirectory) throws -> DataDigest? {
    try RunFile.read(DataDigest.self, from: directory.dataDigest) { $0.version == 1 }
  }

  func write(_ directory: RunDirectory) throws {
    try RunFile.write(self, to: directory.dataDigest)
  }

  /// Keeps what a run is trained on, or compares it with what is kept.
  ///
  /// - Parameter features: the hash of all values in the order of the file.
  /// - Throws: `OwnerError.unfitData` for other data than the run began with; `OwnerError.run`, `FileError`.
  package static func keepOrCheck(_ prepared: PreparedJob, features: UInt64, in directory: RunDirectory) throws {
    let digest = DataDigest(prepared, features: features)
    if let kept = try read(directory) { return try kept.check(digest, file: prepared.job.data.file) }
    try digest.write(directory)
  }

  /// What the data of a job and those that another run has kept differ in; nil where they are the same.
  ///
  /// - Parameter features: the hash of all values in the order of the file.
  /// - Throws: `OwnerError.run`, `FileError`.
  package static func difference(
    _ prepared: PreparedJob, features: UInt64, from directory: RunDirectory
  ) throws -> String? {
    guard let kept = try read(directory) else { return "what they were, which the run has not kept," }
    return kept.difference(DataDigest(prepared, features: features))
  }

  /// Compares the data found now with what this one is of; what is not known of either is left out.
  ///
  /// - Throws: `OwnerError.unfitData` that says what differs.
  func check(_ found: DataDigest, file: String) throws {
    guard let difference = difference(found) else { return }
    throw OwnerError.unfitData(
      "\(file) has changed since the run began: \(difference) differ; put the old file back, or start a new run")
  }

  private func difference(_ found: DataDigest) -> String? {
    let differences = [
      ("the number of rows or columns", (rows, columns) != (found.rows, found.columns)),
      ("the names of the columns", columnNames != found.columnNames),
      ("the names of the classes", classNames != found.classNames),
      ("the names of the rows", rowNames != found.rowNames),
      ("the labels", labels != found.labels),
      ("the split", split != found.split),
      ("the features", features != nil && found.features != nil && features != found.features),
    ]
    return differences.first(where: \.1)?.0
  }

  private static func hash(_ names: [String]) -> String {
    var hash = ContentHash()
    for name in names {
      withUnsafeBytes(of: name.utf8.count) { hash.update($0) }
      hash.update(name)
    }
    return hash.value().hexadecimal
  }

  private static func hash(_ labels: JobLabels) -> String {
    var hash = ContentHash()
    switch labels.column {
    case .classes(let classes):
      withUnsafeBytes(of: classes.classCount) { hash.update($0) }
      classes.ids.withUnsafeBytes { hash.update($0) }
    case .survival(let labels):
      labels.times.withUnsafeBytes { hash.update($0) }
      labels.events.withUnsafeBytes { hash.update($0) }
    case .values(let values):
      withUnsafeBytes(of: values.columns) { hash.update($0) }
      values.withUnsafeBufferPointer { hash.update(UnsafeRawBufferPointer($0)) }
    }
    return hash.value().hexadecimal
  }
}
