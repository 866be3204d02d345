import CHDF5
import Foundation

/// An HDF5 file open for reading.
///
/// Only what lies in this one file is ever read: external links, external storage and virtual datasets are refused, as are
/// filters that libhdf5 would have to load. Sharing one between threads is fine; they take turns (`HDF5Library`).
package final class HDF5File: Sendable {
  /// As given.
  package let path: String
  let handle: Handle

  var location: DataLocation { DataLocation(file: path) }

  /// - Throws: `DatasetError`: `missingFile`, `notPermitted`, `notHDF5`, `truncatedFile`, `damagedFile`.
  package convenience init(path: String) throws(DatasetError) {
    try self.init(path: path, access: Self.plainAccess(DataLocation(file: path)))
  }

  /// - Parameter access: a file access property list; tests pass one that counts reads.
  init(path: String, access: Handle) throws(DatasetError) {
    let location = DataLocation(file: path)
    try Self.checkReadable(path, location)
    self.path = path
    handle = try HDF5Library.locked { () throws(DatasetError) -> Handle in
      guard H5Fis_hdf5(path) > 0 else {
        throw DatasetError(.notHDF5, location, "it is not an HDF5 file, or only the very beginning of one")
      }
      do throws(DatasetError) {
        return try Handle(.damagedFile, location, "it cannot be opened as an HDF5 file") {
          access.use { H5Fopen(path, hdf5ReadOnly(), $0) }
        }
      } catch {
        guard ErrorStack.isTruncation(error.problem) else { throw error }
        throw DatasetError(
          .truncatedFile, location, "the file is cut off, shorter than its header says; fetch it again")
      }
    }
  }

  /// libhdf5's ordinary driver, without its advisory lock: shared file systems often lack locks, and we only read.
  static func plainAccess(_ location: DataLocation) throws(DatasetError) -> Handle {
    let access = try Handle(.defect, location, "libhdf5 cannot be used") { hdf5NewFileAccess() }
    _ = try HDF5Library.check(.defect, location, "libhdf5 cannot be used") {
      access.use { H5Pset_file_locking($0, false, true) }
    }
    return access
  }

  /// libhdf5 does not tell a missing file from one that may not be read, and would wait on a pipe; the system is asked first.
  private static func checkReadable(_ path: String, _ location: DataLocation) throws(DatasetError) {
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw DatasetError(.missingFile, location, "the file has no name")
    }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      switch errno {
      case ENOENT, ENOTDIR: throw DatasetError(.missingFile, location, "there is no such file")
      case EACCES, EPERM: throw DatasetError(.notPermitted, location, "no permission to read the file")
      default:
        throw DatasetError(.damagedFile, location, "the file cannot be opened: \(String(cString: strerror(errno)))")
      }
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw DatasetError(.missingFile, location, "it is not a file (a directory, a pipe or a device)")
    }
  }

  func resolve(_ path: String) throws(DatasetError) -> StoredObject {
    let root = try Handle(.damagedFile, location, "its root group cannot be opened") {
      handle.use { H5Gopen2($0, "/", hdf5DefaultProperties()) }
    }
    return try PathResolver(root: StoredGroup(handle: root, location: location)).resolve(path)
  }
}
