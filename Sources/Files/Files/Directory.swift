import Foundation

/// The few directory operations that recovery needs.
package enum Directory {
  /// The directory part of a path; "." for a bare name.
  package static func containing(_ path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// Makes `path` and the directories above it where they do not exist, readable by their owner only.
  package static func create(_ path: String) throws(CheckpointError) {
    if mkdir(path, 0o700) == 0 { return }
    let code = errno
    if code == EEXIST {
      var status = stat()
      guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
        throw .system(.create, path: path, code: ENOTDIR)
      }
      return
    }
    let parent = containing(path)
    guard code == ENOENT, parent != path, parent != "." else { throw .system(.create, path: path, code: code) }
    try create(parent)
    if mkdir(path, 0o700) != 0, errno != EEXIST { throw .system(.create, path: path, code: errno) }
  }

  package static func names(in path: String) throws(CheckpointError) -> [String] {
    guard let stream = opendir(path) else { throw .system(.list, path: path, code: errno) }
    defer { closedir(stream) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(stream) else {
        let code = errno
        if code != 0 { throw .system(.list, path: path, code: code) }
        return names
      }
      // d_name is a fixed array that C ends with a zero; the entry stays valid until the next readdir.
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
  }

  /// Removes a file; one that is gone already is no error.
  static func remove(_ path: String) throws(CheckpointError) {
    if unlink(path) != 0, errno != ENOENT { throw .system(.remove, path: path, code: errno) }
  }

  /// Makes renames and removals in the directory survive a crash. File systems that cannot sync a directory order these
  /// operations themselves.
  static func sync(_ path: String) throws(CheckpointError) {
    do throws(CheckpointError) {
      try OpenFile.open(path, O_RDONLY | O_DIRECTORY, as: .sync).sync()
    } catch {
      if case .system(.sync, _, let code) = error, code == EINVAL || code == ENOTSUP { return }
      throw error
    }
  }
}
