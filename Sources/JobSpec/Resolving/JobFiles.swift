import Foundation

/// Reads a job's file, or one that stands beside it, within a size limit.
enum JobFile {
  /// - Returns: at most `limit` bytes and one more, so that the caller refuses the size.
  static func read(_ path: String, limit: Int = YAMLDocument.maximumBytes) throws(JobSpecError) -> [UInt8] {
    // Non-blocking, so that a named pipe given by mistake is refused below instead of waited for.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw failure(path, errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw failure(path, errno) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw JobSpecError(.unreadable(path: path, problem: "not a regular file", isPermission: false))
    }
    var bytes = [UInt8](repeating: 0, count: limit + 1)
    var filled = 0
    while filled < bytes.count {
      let got = bytes.withUnsafeMutableBytes { buffer in
        Foundation.read(descriptor, buffer.baseAddress.map { $0 + filled }, buffer.count - filled)
      }
      if got == 0 { break }
      if got < 0 {
        if errno == EINTR { continue }
        throw failure(path, errno)
      }
      filled += got
    }
    return Array(bytes.prefix(filled))
  }

  private static func failure(_ path: String, _ code: Int32) -> JobSpecError {
    JobSpecError(
      .unreadable(path: path, problem: String(cString: strerror(code)), isPermission: code == EACCES || code == EPERM))
  }
}

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
    let found = try resolved(path, missing: .missingFile(key: key, path: path), at: location)
    guard found.kind == S_IFREG else { throw JobSpecError(.notARegularFile(key: key, path: path), at: location) }
    return found.path
  }

  /// The directory itself, as `existingFile` has it.
  ///
  /// - Parameter holding: the name of a regular file that must be in it.
  /// - Throws: `missingDirectory`, `notADirectory`, `missingFile` or `notARegularFile` for the file in it, `unreadable`.
  static func existingDirectory(
    _ path: String, holding name: String, key: String, at location: SourceLocation
  ) throws(JobSpecError) -> String {
    let found = try resolved(path, missing: .missingDirectory(key: key, path: path), at: location)
    guard found.kind == S_IFDIR else { throw JobSpecError(.notADirectory(key: key, path: path), at: location) }
    _ = try existingFile(found.path + "/" + name, key: key, at: location)
    return found.path
  }

  private static func resolved(
    _ path: String, missing: JobSpecError.Reason, at location: SourceLocation
  ) throws(JobSpecError) -> (path: String, kind: mode_t) {
    guard let resolved = realpath(path, nil) else {
      let code = errno
      if code == ENOENT || code == ENOTDIR { throw JobSpecError(missing, at: location) }
      throw JobSpecError(
        .unreadable(path: path, problem: String(cString: strerror(code)), isPermission: code == EACCES), at: location)
    }
    defer { free(resolved) }
    var status = stat()
    let kind = stat(resolved, &status) == 0 ? status.st_mode & S_IFMT : 0
    return (String(cString: resolved), kind)
  }
}

/// What the paths of a job are relative to.
struct JobPlaces {
  /// Absolute directory of the job's own file.
  let job: String
  /// Absolute directory that paths of command-line overrides are relative to.
  let working: String
  let mustExist: Bool

  func absolute(_ path: String, at location: SourceLocation) -> String {
    JobPath.absolute(path, in: location.isOverride ? working : job)
  }
}
