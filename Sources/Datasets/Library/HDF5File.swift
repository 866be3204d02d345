import CCheckedFile
import CHDF5
import Foundation

/// An HDF5 file open for reading.
///
/// Only what lies in this one file is ever read: external links, external storage and virtual datasets are refused, as are
/// filters that libhdf5 would have to load. What this module allocates is bounded and checked first, and so is what holds strings of varying
/// length (`CCheckedFile`); on other damage libhdf5 may fault, which ends the program in good order (`HDF5Library`). Its parser is not built
/// to withstand forged files, so a file should come from someone whose programs one would run, as the owner's own data does. Sharing one between threads is fine; they take turns (`HDF5Library`).
package final class HDF5File: Sendable {
  /// As given.
  package let path: String
  let handle: Handle

  var location: DataLocation { DataLocation(file: path) }

  /// - Throws: `DatasetError`: `missingFile`, `notPermitted`, `notHDF5`, `truncatedFile`, `damagedFile`.
  package convenience init(path: String) throws(DatasetError) {
    try self.init(path: path, access: Self.checkedAccess(DataLocation(file: path)))
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

  /// The same by a driver that refuses damaged collections of strings, in which libhdf5 would fault or read on without end.
  private static func checkedAccess(_ location: DataLocation) throws(DatasetError) -> Handle {
    let access = try plainAccess(location)
    _ = try HDF5Library.check(.defect, location, "libhdf5 cannot be used") {
      access.use { access in
        let driver = checked_file_driver()
        return driver < 0 ? -1 : H5Pset_driver(access, driver, nil)
      }
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

/// Walks a path link by link, so that libhdf5 itself only ever follows hard links: soft links are resolved here within the
/// file, every other kind is refused before it is touched.
struct PathResolver {
  /// Soft links on one path; a cycle of them ends here.
  private static let maxSoftLinks = 16

  let root: StoredGroup

  /// - Throws: `missingObject`, `externalLink`, `wrongObject` (a dataset where the path goes on), and what opening throws.
  func resolve(_ path: String) throws(DatasetError) -> StoredObject {
    let location = root.location.object(path)
    var pending = Array(ObjectPath.components(path).reversed())
    var group = root
    var softLinks = 0
    while let name = pending.popLast() {
      switch try group.link(name) {
      case nil:
        throw missing(name, in: group, location)
      case .soft(let target):
        softLinks += 1
        guard softLinks <= Self.maxSoftLinks else {
          throw DatasetError(.missingObject, location, "its soft links lead in a circle")
        }
        if target.hasPrefix("/") { group = root }
        pending += ObjectPath.components(target).reversed()
      case .external(let file, let object):
        throw DatasetError(
          .externalLink, location,
          "'\(name)' is an external link to '\(object)' in the file '\(file)'; other files are never opened: copy it in"
        )
      case .userDefined:
        throw DatasetError(.externalLink, location, "'\(name)' is a user-defined link, which is not followed")
      case .hard:
        let handle = try Handle(.damagedFile, location, "'\(name)' cannot be opened") {
          group.handle.use { H5Oopen($0, name, hdf5DefaultProperties()) }
        }
        switch handle.use({ H5Iget_type($0) }) {
        case H5I_GROUP: group = StoredGroup(handle: handle, location: location)
        case H5I_DATASET:
          let dataset = try StoredDataset(handle, group: group, name: name, location: location)
          guard let next = pending.last else { return .dataset(dataset) }
          throw DatasetError(
            .wrongObject, location,
            "'\(name)' is a dataset, not a group, so there is no '\(next)' below it; a field of a compound dataset is "
              + "written \(name)[\(next)]")
        default: throw DatasetError(.wrongObject, location, "'\(name)' is neither a group nor a dataset")
        }
      }
    }
    return .group(StoredGroup(handle: group.handle, location: location))
  }

  private func missing(_ name: String, in group: StoredGroup, _ location: DataLocation) -> DatasetError {
    let names = (try? group.names()) ?? []
    let there = names.isEmpty ? "nothing" : StoredType.list(names)
    return DatasetError(.missingObject, location, "there is no '\(name)'; where it should be there is: \(there)")
  }
}

/// How jobs name a column: `labels`, `group/labels`, or `obs[bulk_labels]` for a field of a compound dataset.
struct ObjectPath: Sendable, Equatable {
  /// The path of a dataset or group.
  let object: String
  let field: String?

  init(_ text: String) {
    guard text.hasSuffix("]"), let bracket = text.firstIndex(of: "["), bracket > text.startIndex else {
      object = text
      field = nil
      return
    }
    object = String(text[..<bracket])
    field = String(text[text.index(after: bracket)...].dropLast())
  }

  init(object: String, field: String?) {
    self.object = object
    self.field = field
  }

  var text: String {
    guard let field else { return object }
    return "\(object)[\(field)]"
  }

  /// Splits a path of links; empty parts and `.` mean nothing, as in libhdf5.
  static func components(_ path: String) -> [String] {
    path.split(separator: "/").map(String.init).filter { $0 != "." }
  }
}

/// What a path leads to.
enum StoredObject: Sendable {
  case group(StoredGroup)
  case dataset(StoredDataset)
}

/// An open group: its links by name.
struct StoredGroup: Sendable {
  enum Link: Sendable, Equatable {
    case hard
    case soft(target: String)
    case external(file: String, object: String)
    /// A kind of link that some program made up.
    case userDefined
  }

  /// Longer names are damage or an attack: libhdf5 itself allows 64 KB.
  private static let maxNameBytes = 4096

  let handle: Handle
  let location: DataLocation

  /// The names of all links, in ascending order.
  func names() throws(DatasetError) -> [String] {
    let count = try HDF5Library.check(.damagedFile, location, "the group cannot be listed") {
      handle.use { group in
        var info = H5G_info_t()
        let status = H5Gget_info(group, &info)
        return status < 0 ? -1 : Int64(clamping: info.nlinks)
      }
    }
    var names: [String] = []
    var buffer = [CChar](repeating: 0, count: Self.maxNameBytes + 1)
    for index in 0..<hsize_t(count) {
      let length = try HDF5Library.check(.damagedFile, location, "the group cannot be listed") {
        handle.use { hdf5GetLinkName($0, index, &buffer, buffer.count) }
      }
      guard length <= Self.maxNameBytes else {
        throw DatasetError(.tooLarge, location, "it holds a link with an overlong name")
      }
      names.append(String(decoding: buffer.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }
    return names
  }

  /// The link of that name, without following it; nil when there is none.
  func link(_ name: String) throws(DatasetError) -> Link? {
    var size = 0
    let kind = try HDF5Library.check(.damagedFile, location, "the link '\(name)' cannot be read") {
      handle.use { hdf5GetLink($0, name, &size) }
    }
    switch UInt32(kind) {
    case hdf5LinkAbsent.rawValue: return nil
    case hdf5LinkHard.rawValue: return .hard
    case hdf5LinkUserDefined.rawValue: return .userDefined
    default: break
    }
    guard size <= 2 * Self.maxNameBytes else {
      throw DatasetError(.tooLarge, location, "the link '\(name)' has an overlong target")
    }
    var value = [CChar](repeating: 0, count: size + 1)
    _ = try HDF5Library.check(.damagedFile, location, "the link '\(name)' cannot be read") {
      handle.use { H5Lget_val($0, name, &value, size, hdf5DefaultProperties()) }
    }
    if UInt32(kind) == hdf5LinkSoft.rawValue { return .soft(target: Self.text(value[...])) }
    // An external link's value: a byte of flags, the file's name, 0, the object's path, 0.
    let file = value.dropFirst().prefix { $0 != 0 }
    return .external(file: Self.text(file), object: Self.text(value.dropFirst(file.count + 2)))
  }

  private static func text(_ characters: ArraySlice<CChar>) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
