import CHDF5
import Foundation
package import Numerics

/// Writes an HDF5 file: `plan.h5` of a run, predictions.
///
/// The content grows under a temporary name beside the file; `commit` syncs and renames it. A writer that is released before
/// `commit`, or fails, removes what it wrote. Used by one thread at a time (not `Sendable`). The same calls write the same
/// bytes: nothing in the file holds a time.
package final class HDF5Writer {
  /// Bytes per chunk: small beside libhdf5's cache of 1 MB, so that rows appended one by one are compressed once a chunk.
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
  private let temporary: TemporaryFile
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
    let temporary = TemporaryFile(beside: path)
    self.temporary = temporary
    try temporary.create()
    do throws(DatasetError) {
      let access = try HDF5File.plainAccess(location)
      file = try Handle(.writeFailed, location, "it cannot be created") {
        access.use { H5Fcreate(temporary.path, hdf5CreateAnew(), hdf5DefaultProperties(), $0) }
      }
    } catch {
      temporary.remove()
      throw error
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

  /// A matrix without rows yet, to which `append` adds them; chunked and compressed with gzip.
  /// - Parameter columns: at least 1; a row takes at most 256 MB.
  package func createMatrix<Element: StorableElement>(
    _ path: String, columns: Int, of element: Element.Type
  ) throws(DatasetError) {
    let location = location.object(path)
    guard columns > 0, let rowBytes = Shape.byteCount([columns], Element.elementType), rowBytes <= Self.largestRow
    else {
      throw DatasetError(.tooLarge, location, "a row of \(columns) columns cannot be written")
    }
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
    try guarded { (file) throws(DatasetError) in
      let location = location
      _ = try HDF5Library.check(.writeFailed, location, "it cannot be written") {
        file.use { H5Fflush($0, H5F_SCOPE_GLOBAL) }
      }
    }
    close()
    do throws(DatasetError) {
      // Closing reports nothing; a file that opens again has its last bytes.
      _ = try HDF5File(path: temporary.path)
      try temporary.publish()
    } catch {
      temporary.remove()
      throw error.reason == .diskFull || error.reason == .notPermitted
        ? error : DatasetError(.writeFailed, location, error.problem)
    }
  }

  /// Removes what was written so far. Does nothing after `commit`.
  package func abandon() {
    guard file != nil else { return }
    close()
    temporary.remove()
  }

  /// Datasets first: a file stays open in libhdf5 for as long as one of its datasets is. (The stronger degree of closing, by which
  /// a file takes its datasets along, frees a dataset twice after a write to it has failed.)
  private func close() {
    matrices = [:]
    file = nil
  }

  /// Runs a step of writing; a failed one leaves no file.
  private func guarded(_ step: (Handle) throws(DatasetError) -> Void) throws(DatasetError) {
    guard let file else { throw DatasetError(.defect, location, "a file that is finished was written to") }
    do throws(DatasetError) {
      try step(file)
    } catch {
      close()
      temporary.remove()
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
  case float32, int64

  /// The libhdf5 types in the file and in memory; neither is to be closed.
  var types: (file: hid_t, memory: hid_t) {
    switch self {
    case .float32: (hdf5LittleEndianFloat32(), hdf5NativeFloat())
    case .int64: (hdf5LittleEndianInt64(), hdf5NativeInt64())
    }
  }
}

extension Float: StorableElement { package static var stored: StoredNumber { .float32 } }
extension Int64: StorableElement { package static var stored: StoredNumber { .int64 } }

/// A name beside a file that is being written, so that the file itself appears whole or not at all.
struct TemporaryFile {
  let destination: String
  let path: String

  init(beside destination: String) {
    self.destination = destination
    let url = URL(fileURLWithPath: destination)
    let unique = "\(getpid())-\(UInt64.random(in: 0 ... .max))"
    path = url.deletingLastPathComponent().appendingPathComponent(".\(url.lastPathComponent).\(unique)").path
  }

  /// Brings the content to the disk, gives it its name, and brings that to the disk too.
  func publish() throws(DatasetError) {
    try sync(path)
    guard rename(path, destination) == 0 else { throw failure("cannot be renamed") }
    try sync(URL(fileURLWithPath: destination).deletingLastPathComponent().path)
  }

  func remove() {
    // After a failed write libhdf5 may keep the file open, and with it the room that is needed.
    truncate(path, 0)
    unlink(path)
  }

  /// Creates the file, empty and its owner's alone (0600): libhdf5, which would let everybody read it, keeps the mode of one that exists,
  /// and does not say why it cannot create one.
  func create() throws(DatasetError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure("cannot be created") }
    close(descriptor)
  }

  private func sync(_ path: String) throws(DatasetError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("cannot be opened") }
    let status = fsync(descriptor)
    let number = errno
    close(descriptor)
    errno = number
    // Some file systems do not sync directories, and say so.
    guard status == 0 || number == EINVAL else { throw failure("cannot be brought to the disk") }
  }

  private func failure(_ problem: String) -> DatasetError {
    let location = DataLocation(file: destination)
    switch errno {
    case ENOSPC, EDQUOT, EFBIG: return .diskFull(location)
    case EACCES, EPERM, EROFS: return DatasetError(.notPermitted, location, "no permission to write here")
    default: return DatasetError(.writeFailed, location, "it \(problem): \(String(cString: strerror(errno)))")
    }
  }
}
