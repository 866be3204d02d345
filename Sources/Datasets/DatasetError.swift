package import Foundations

/// Where in which file something is: what every error of this module names first.
package struct DataLocation: Sendable, Equatable, CustomStringConvertible {
  package let file: String
  /// The path of a dataset, group or field (`obs[bulk_labels]`) in the file; nil for the file itself.
  package let object: String?

  package init(file: String, object: String? = nil) {
    self.file = file
    self.object = object
  }

  /// The same file, another object.
  func object(_ path: String) -> DataLocation { DataLocation(file: file, object: path) }

  package var description: String {
    guard let object else { return file }
    return "\(file): '\(object)'"
  }
}

/// What is wrong with a data file, where, and what to do. Names rows, columns and paths, never a value of the data.
package struct DatasetError: Failure, Equatable {
  package enum Reason: Sendable, Equatable {
    // The file
    case missingFile, notPermitted, notHDF5, truncatedFile, damagedFile
    // What it refers to outside of itself or of libhdf5
    case externalLink, externalStorage, virtualDataset, unsupportedFilter
    // The objects
    case missingObject, wrongObject, wrongRank, wrongType, unsupportedLayout, tooLarge, empty
    // The content
    case damagedRows, notFinite, invalidSparseRow, rowCountMismatch, invalidLabels, tooManyClasses, invalidRowNumbers
    // Tokens
    case shapeMismatch, invalidTokens, invalidTypes, invalidMask, emptySequence, sequenceTooLong, misplacedPadding
    // Writing
    case diskFull, writeFailed
    /// A caller inside this program broke a rule of this module.
    case defect
  }

  package let reason: Reason
  package let location: DataLocation
  /// The sentence after the location.
  package let problem: String

  init(_ reason: Reason, _ location: DataLocation, _ problem: String) {
    self.reason = reason
    self.location = location
    self.problem = problem
  }

  static func diskFull(_ location: DataLocation) -> DatasetError {
    DatasetError(.diskFull, location, "the disk is full or a quota is used up; free space and start again")
  }

  package var kind: FailureKind {
    switch reason {
    case .notPermitted: .keyOrPermission
    case .diskFull: .exhausted
    case .defect: .defect
    default: .inputData
    }
  }

  package var description: String { "\(location): \(problem)" }
}
