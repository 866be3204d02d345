import Foundation

/// Makes the paths of a job absolute.
enum JobPath {
  /// `path` under `directory` unless it is absolute; "." and doubled slashes go, ".." stays for the system to follow.
  static func absolute(_ path: String, in directory: String) -> String {
    let joined = path.hasPrefix("/") ? path : directory + "/" + path
    return "/" + joined.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
  }

  /// The file itself, links and ".." followed by the system: two spellings of one file then resolve to equal jobs, and a
  /// link moved to other data is noticed as another job.
  ///
  /// - Throws: `missingFile`, `notARegularFile`, or `unreadable` when a directory on the way may not be searched.
  static func existingFile(_ path: String, key: String, at location: SourceLocation) throws(JobSpecError) -> String {
    guard let resolved = realpath(path, nil) else {
      let code = errno
      if code == ENOENT || code == ENOTDIR { throw JobSpecError(.missingFile(key: key, path: path), at: location) }
      throw JobSpecError(
        .unreadable(path: path, problem: String(cString: strerror(code)), isPermission: code == EACCES), at: location)
    }
    defer { free(resolved) }
    var status = stat()
    guard stat(resolved, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw JobSpecError(.notARegularFile(key: key, path: path), at: location)
    }
    return String(cString: resolved)
  }
}
