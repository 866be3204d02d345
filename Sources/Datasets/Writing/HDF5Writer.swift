import CFaults
import CHDF5
import Files
import Foundation
import Foundations
package import Numerics

/// Writes an HDF5 file: `plan.h5` of a run, predictions, generated texts.
///
/// The content grows in an `AtomicFileWriter`, so that the file appears whole, at `commit`. A writer that is released before
/// `commit`, or fails, removes what it wrote. Used by one thread at a time (not `Sendable`). The same calls write the same
/// bytes: nothing in the file holds a time.
package final class HDF5Writer {
  /// Bytes per chunk: small beside libhdf5's cache of 1 MB, so that rows appended one by one are compressed once per chunk.
  private static let chunkBytes = 256 << 10
  /// A row is never split, so it bounds chunks, which libhdf5 bounds by 4 GB.
  private static let largestRow = 256 << 20

  private struct Matrix {
    let dataset: Handle
    let type: StoredNumber
    let columns: Int
    var rows: Int
  }

  package let path: String
  /// libhdf5, which would let everybody read a file that it makes, keeps the mode of one that exists, and does not say why it cannot
  /// create one.
  private let writer: AtomicFileWriter
  /// nil when committed or abandoned.
  private var file: Handle?
  private var matrices: [String: Matrix] = [:]

  private var location: DataLocation { DataLocation(file: path) }

  /// - Throws: `DatasetError`: `notPermitted`, `writeFailed` (no such directory), `diskFull`.
  package init(path: String) throws(DatasetError) {
    let location = DataLocation(file: path)
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw DatasetError(.writeFailed, location, "the file has no name")
    }
    self.path = path
    let writer: AtomicFileWriter
    do throws(FileError) {
      writer = try AtomicFileWriter(path: path)
    } catch {
      throw DatasetError(error, location)
    }
    self.writer = writer
    let access = try HDF5File.plainAccess(location)
    file = try Handle(.writeFailed, location, "it cannot be created") {
      access.use { H5Fcreate(writer.temporaryPath, hdf5OverwriteFlag(), hdf5DefaultProperties(), $0) }
    }
  }

  deinit {
    abandon()
  }

  /// A vector of fixed length; groups on the path are made.
  /// - Throws: `writeFailed`, `diskFull`, `defect` when the path is taken.
  package func write<Element: StorableElement>(_ values: [Element], to path: String) throws(DatasetError) {
    let extent = [hsize_t(values.count)]
    try guarded { (file) throws(DatasetError) in
      let location = location.object(path)
      let problem = "it cannot be written"
      let space = try Handle(.writeFailed, location, problem) { H5Screate_simple(1, extent, nil) }
      let dataset = try create(path, Element.stored, space, try newDataset(), in: file)
      guard !values.isEmpty else { return }
      _ = try HDF5Library.check(.writeFailed, location, problem) {
        dataset.use {
          H5Dwrite($0, Element.stored.types.memory, hdf5WholeSpace(), hdf5WholeSpace(), hdf5DefaultProperties(), values)
        }
      }
    }
  }

  /// Whether a file may have a matrix of such rows: for what is to be written only later.
  ///
  /// - Throws: `DatasetError` of kind `.tooLarge`.
  package static func checkRow<Element: StorableElement>(
    _ name: String, columns: Int, of element: Element.Type, path: String
  ) throws(DatasetError) {
    _ = try rowBytes(columns, element, DataLocation(file: path).object(name))
  }

  private static func rowBytes<Element: StorableElement>(
    _ columns: Int, _: Element.Type, _ location: DataLocation
  ) throws(DatasetError) -> Int {
    guard columns > 0, let bytes = Shape.byteCount([columns], Element.elementType), bytes <= largestRow else {
      throw DatasetError(
        .tooLarge, location,
        "a row of \(columns) columns cannot be written; at most \(ByteSize.binaryText(largestRow)) of them go into one")
    }
    return bytes
  }

  /// A matrix without rows yet, to which `append` adds them; chunked and compressed with gzip.
  /// - Parameter columns: at least 1; a row takes at most 256 MB.
  package func createMatrix<Element: StorableElement>(
    _ path: String, columns: Int, of element: Element.Type
  ) throws(DatasetError) {
    let location = location.object(path)
    let rowBytes = try Self.rowBytes(columns, Element.self, location)
    try guarded { (file) throws(DatasetError) in
      let problem = "it cannot be created"
      let properties = try newDataset()
      let chunk = [hsize_t(max(1, Self.chunkBytes / rowBytes)), hsize_t(columns)]
      _ = try HDF5Library.check(.writeFailed, location, problem) { properties.use { H5Pset_chunk($0, 2, chunk) } }
      _ = try HDF5Library.check(.writeFailed, location, problem) { properties.use { H5Pset_shuffle($0) } }
      _ = try HDF5Library.check(.writeFailed, location, problem) { properties.use { H5Pset_deflate($0, 1) } }
      let extent = [0, hsize_t(columns)]
      let limit = [hdf5Unlimited(), hsize_t(columns)]
      let space = try Handle(.writeFailed, location, problem) { H5Screate_simple(2, extent, limit) }
      let dataset = try create(path, Element.stored, space, properties, in: file)
      matrices[path] = Matrix(dataset: dataset, type: Element.stored, columns: columns, rows: 0)
    }
  }

  /// Appends whole rows, row-major, to a matrix that `createMatrix` made.
  /// - Throws: `writeFailed`, `diskFull`, `defect` when there is no such matrix or the elements make no whole rows of it.
  package func append<Element: StorableElement>(
    _ elements: UnsafeBufferPointer<Element>, to path: String
  ) throws(DatasetError) {
    let location = location.object(path)
    guard let matrix = matrices[path], matrix.type == Element.stored, elements.count % matrix.columns == 0 else {
      throw DatasetError(.defect, location, "no matrix is being written that takes \(elements.count) such elements")
    }
    let rows = elements.count / matrix.columns
    guard rows > 0 else { return }
    try guarded { (_) throws(DatasetError) in
      let problem = "rows cannot be appended"
      let extent = [hsize_t(matrix.rows + rows), hsize_t(matrix.columns)]
      _ = try HDF5Library.check(.writeFailed, location, problem) { matrix.dataset.use { H5Dset_extent($0, extent) } }
      let space = try Handle(.writeFailed, location, problem) { matrix.dataset.use { H5Dget_space($0) } }
      let start = [hsize_t(matrix.rows), 0]
      let count = [hsize_t(rows), hsize_t(matrix.columns)]
      _ = try HDF5Library.check(.writeFailed, location, problem) {
        space.use { H5Sselect_hyperslab($0, H5S_SELECT_SET, start, nil, count, nil) }
      }
      let memory = try Handle(.writeFailed, location, problem) { H5Screate_simple(2, count, nil) }
      _ = try HDF5Library.check(.writeFailed, location, problem) {
        matrix.dataset.use { dataset in
          space.use { space in
            memory.use {
              H5Dwrite(dataset, matrix.type.types.memory, $0, space, hdf5DefaultProperties(), elements.baseAddress)
            }
          }
        }
      }
      matrices[path]?.rows += rows
    }
  }

  package func append<Element: StorableElement>(_ elements: [Element], to path: String) throws(DatasetError) {
    let result: Result<Void, DatasetError> = elements.withUnsafeBufferPointer { buffer in
      Result { () throws(DatasetError) in try append(buffer, to: path) }
    }
    try result.get()
  }

  /// Finishes the file: afterwards it is on the disk under its name. Nothing can be written after it.
  /// - Throws: `diskFull`, `writeFailed`; nothing is left behind then, and an older file of that name stays.
  package func commit() throws(DatasetError) {
    try flush()
    close()
    do throws(DatasetError) {
      // Closing reports nothing; a file that opens again has its last bytes.
      _ = try HDF5File(path: writer.temporaryPath)
      try publish()
    } catch {
      writer.discard()
      throw error.reason == .diskFull || error.reason == .notPermitted
        ? error : DatasetError(.writeFailed, location, error.problem)
    }
  }

  private func flush() throws(DatasetError) {
    try guarded { (file) throws(DatasetError) in
      let location = location
      _ = try HDF5Library.check(.writeFailed, location, "it cannot be written") {
        file.use { H5Fflush($0, H5F_SCOPE_GLOBAL) }
      }
    }
  }

  private func publish() throws(DatasetError) {
    do throws(FileError) {
      try writer.publish()
    } catch {
      throw DatasetError(error, location)
    }
  }

  /// Finishes the file as `commit` does, and only compares it with the one that is there under its name; nothing of it stays.
  ///
  /// - Returns: whether they have the same bytes.
  /// - Throws: `diskFull`; `writeFailed`, `notPermitted`, where the other cannot be read, too.
  package func isWhatIsThere() throws(DatasetError) -> Bool {
    try flush()
    close()
    defer { writer.discard() }
    do throws(FileError) {
      return try RegularFile.haveSameBytes(writer.temporaryPath, path)
    } catch {
      throw DatasetError(error, location)
    }
  }

  /// Removes what was written so far. Does nothing after `commit`.
  package func abandon() {
    guard file != nil else { return }
    close()
    writer.discard()
  }

  /// Datasets first: a file stays open in libhdf5 for as long as one of its datasets is. (The stronger degree of closing, by which
  /// a file takes its datasets along, frees a dataset twice after a write to it has failed.)
  private func close() {
    faults_begin_writing()
    defer { faults_end_writing() }
    matrices = [:]
    file = nil
  }

  /// Runs a step of writing; a failed one leaves no file.
  func guarded(_ step: (Handle) throws(DatasetError) -> Void) throws(DatasetError) {
    guard let file else { throw DatasetError(.defect, location, "a file that is finished was written to") }
    // A fault in here is no damage of a file that somebody gave us.
    faults_begin_writing()
    defer { faults_end_writing() }
    do throws(DatasetError) {
      try step(file)
    } catch {
      close()
      writer.discard()
      throw error
    }
  }

  private func newDataset() throws(DatasetError) -> Handle {
    let properties = try Handle(.defect, location, "libhdf5 cannot be used") { hdf5NewDatasetCreation() }
    _ = try HDF5Library.check(.defect, location, "libhdf5 cannot be used") {
      properties.use { H5Pset_obj_track_times($0, false) }
    }
    return properties
  }

  private func create(
    _ path: String, _ type: StoredNumber, _ space: Handle, _ properties: Handle, in file: Handle
  ) throws(DatasetError) -> Handle {
    let location = location.object(path)
    let links = try Handle(.defect, location, "libhdf5 cannot be used") { hdf5NewLinkCreation() }
    _ = try HDF5Library.check(.defect, location, "libhdf5 cannot be used") {
      links.use { H5Pset_create_intermediate_group($0, 1) }
    }
    return try Handle(.writeFailed, location, "it cannot be created") {
      file.use { file in
        links.use { links in
          space.use { space in
            properties.use { H5Dcreate2(file, path, type.types.file, space, links, $0, hdf5DefaultProperties()) }
          }
        }
      }
    }
  }
}

/// An element type that `HDF5Writer` stores, little-endian whatever the machine.
package protocol StorableElement: TensorElement {
  static var stored: StoredNumber { get }
}

/// The number formats of written files.
package enum StoredNumber: Sendable, Equatable {
  case float32, int32, int64, uint8

  /// The libhdf5 types in the file and in memory; neither is to be closed.
  var types: (file: hid_t, memory: hid_t) {
    switch self {
    case .float32: (hdf5LittleEndianFloat32(), hdf5NativeFloat())
    case .int32: (hdf5LittleEndianInt32(), hdf5NativeInt32())
    case .int64: (hdf5LittleEndianInt64(), hdf5NativeInt64())
    case .uint8: (hdf5LittleEndianUInt8(), hdf5NativeUInt8())
    }
  }
}

extension Float: StorableElement { package static var stored: StoredNumber { .float32 } }
extension Int32: StorableElement { package static var stored: StoredNumber { .int32 } }
extension Int64: StorableElement { package static var stored: StoredNumber { .int64 } }
extension UInt8: StorableElement { package static var stored: StoredNumber { .uint8 } }

extension DatasetError {
  /// Why a file could not be brought to the disk.
  fileprivate init(_ error: FileError, _ location: DataLocation) {
    guard case .system(let operation, _, let code) = error else {
      self.init(.writeFailed, location, error.description)
      return
    }
    switch code {
    case ENOSPC, EDQUOT, EFBIG: self = .diskFull(location)
    case EACCES, EPERM, EROFS: self.init(.notPermitted, location, "no permission to write here")
    default:
      let problem =
        switch operation {
        case .create: "created"
        case .rename: "renamed"
        default: "brought to the disk"
        }
      self.init(.writeFailed, location, "it cannot be \(problem): \(String(cString: strerror(code)))")
    }
  }
}
