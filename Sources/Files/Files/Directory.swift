import Foundation

/// The few directory operations that recovery needs.
package enum Directory {
  /// The directory part of a path; "." for a bare name.
  package static func containing(_ path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// Makes `path` where it does not exist, readable by its owner only.
  ///
  /// - Parameter withParents: whether the directories above it are made too.
  package static func create(_ path: String, withParents: Bool = true) throws(FileError) {
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
    guard withParents, code == ENOENT, parent != path, parent != "." else {
      throw .system(.create, path: path, code: code)
    }
    try create(parent)
    if mkdir(path, 0o700) != 0, errno != EEXIST { throw .system(.create, path: path, code: errno) }
  }

  /// Takes from other users every permission on a directory and on all that is in it. Links are not followed, and what belongs to another
  /// user is left alone.
  ///
  /// - Parameter exception: a file in it that stays as it is.
  /// - Throws: `.system` where permissions cannot be changed.
  package static func makePrivate(_ path: String, except exception: String? = nil) throws(FileError) {
    var status = stat()
    guard path != exception, lstat(path, &status) == 0, status.st_uid == geteuid() else { return }
    let kind = status.st_mode & S_IFMT
    guard kind == S_IFDIR || kind == S_IFREG else { return }
    if status.st_mode & 0o077 != 0 {
      // What was looked at may have become a link since.
      let file = try OpenFile.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, as: .protect)
      let present = try file.status().st_mode
      guard fchmod(file.descriptor, present & 0o700) == 0 else { throw .system(.protect, path: path, code: errno) }
    }
    guard kind == S_IFDIR else { return }
    for name in try names(in: path) { try makePrivate(path + "/" + name, except: exception) }
  }

  package static func names(in path: String) throws(FileError) -> [String] {
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
  package static func remove(_ path: String) throws(FileError) {
    if unlink(path) != 0, errno != ENOENT { throw .system(.remove, path: path, code: errno) }
  }

  /// Makes renames and removals in the directory survive a crash. File systems that cannot sync a directory order these
  /// operations themselves.
  static func sync(_ path: String) throws(FileError) {
    do throws(FileError) {
      try OpenFile.open(path, O_RDONLY | O_DIRECTORY, as: .sync).sync()
    } catch {
      if case .system(.sync, _, let code) = error, code == EINVAL || code == ENOTSUP { return }
      throw error
    }
  }
}
