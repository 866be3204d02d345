import Datasets
package import Foundation

/// What a job's data calls its columns, classes and rows: `names.json` of a run and, without the rows, of its model.
package struct DataNames: Codable, Sendable, Equatable {
  /// The form of the file.
  private var version = 1
  /// In the order that the model takes them; nil where the file has no names.
  package let columns: [String]?
  /// In order of class id.
  package let classes: [String]?
  /// Of every row of the file, those left out included.
  package let rows: [String]?

  package init(columns: [String]?, classes: [String]?, rows: [String]?) {
    self.columns = columns
    self.classes = classes
    self.rows = rows
  }

  /// What may go with a model: names of rows can be those of people.
  var withoutRows: DataNames { DataNames(columns: columns, classes: classes, rows: nil) }

  package func write(to file: URL) throws {
    try RunFile.write(self, to: file)
  }

  /// - Returns: nil when there is no such file.
  /// - Throws: `OwnerError.run` when it cannot be read; `FileError`.
  static func read(_ file: URL) throws -> DataNames? {
    try RunFile.read(DataNames.self, from: file, limit: 1 << 30) { $0.version == 1 }
  }
}

extension DataNames {
  /// Where each column of the model stands among `found`; nil when they are the same in the same order.
  ///
  /// - Parameters:
  ///   - trained: the model's columns.
  ///   - source: the data as errors name it.
  /// - Throws: `OwnerError.unfitData` for columns that are missing, and for names that several columns share.
  static func places(of trained: [String], in found: [String], source: String) throws -> [Int]? {
    if found == trained { return nil }
    var place: [String: Int] = [:]
    var repeated: Set<String> = []
    for (column, name) in found.enumerated() where place.updateValue(column, forKey: name) != nil {
      repeated.insert(name)
    }
    let missing = trained.filter { place[$0] == nil }
    guard missing.isEmpty else {
      let shown = missing.prefix(5).joined(separator: ", ") + (missing.count > 5 ? " …" : "")
      throw OwnerError.unfitData(
        "\(source): \(missing.count) of the model's \(trained.count) columns are missing: \(shown)")
    }
    if let name = trained.first(where: repeated.contains) ?? Self.repeatedName(trained) {
      throw OwnerError.unfitData(
        "\(source): several columns are called \(name), so that names do not tell them apart; make names unique, or give the columns in "
          + "the order of the training data")
    }
    return trained.compactMap { place[$0] }
  }

  private static func repeatedName(_ names: [String]) -> String? {
    var seen: Set<String> = []
    return names.first { !seen.insert($0).inserted }
  }
}

/// Features whose columns are brought into the order that a model takes.
struct AlignedFeatures: FeatureSource {
  let source: any FeatureSource
  /// The column of `source` for each column of the model.
  let places: [Int]

  var rows: Int { source.rows }
  var columns: Int { places.count }
  var preferredRowBlock: Int { source.preferredRowBlock }
  var inflationsPerChunk: Int { source.inflationsPerChunk }

  func read(rows: Range<Int>, into destination: UnsafeMutableBufferPointer<Float>) throws(DatasetError) {
    try align(rows.count, into: destination) { (buffer) throws(DatasetError) in
      try source.read(rows: rows, into: buffer)
    }
  }

  func read(rows: Range<Int>, into destination: UnsafeMutableBufferPointer<Double>) throws(DatasetError) {
    try align(rows.count, into: destination) { (buffer) throws(DatasetError) in
      try source.read(rows: rows, into: buffer)
    }
  }

  private func align<Number: BinaryFloatingPoint>(
    _ rows: Int, into destination: UnsafeMutableBufferPointer<Number>,
    _ read: (UnsafeMutableBufferPointer<Number>) throws(DatasetError) -> Void
  ) throws(DatasetError) {
    var block = [Number](repeating: 0, count: rows * source.columns)
    let result: Result<Void, DatasetError> = block.withUnsafeMutableBufferPointer { buffer in
      Result { () throws(DatasetError) in try read(buffer) }
    }
    try result.get()
    for row in 0..<rows {
      for (column, place) in places.enumerated() {
        destination[row * places.count + column] = block[row * source.columns + place]
      }
    }
  }
}
