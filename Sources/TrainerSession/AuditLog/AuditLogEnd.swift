import Checkpoints
import Failures
import Foundation

/// The end of a log on disk: what its next line continues.
struct AuditLogEnd {
  let path: String
  /// 0 and `AuditLine.origin` where there is no line.
  let lastSequence: Int
  let lastHash: String
  /// Bytes after the last line feed.
  private let torn: Data

  /// - Throws: `CheckpointError` when the file cannot be read; `TrainerError` of kind `.checkFailed` when the last line is none of an audit log.
  init(path: String) throws {
    self.path = path
    let content: Data
    do {
      content = try LineLog.content(of: path)
    } catch {
      guard case .system(.open, _, let code) = error, code == ENOENT else { throw error }
      content = Data()
    }
    let end = content.lastIndex(of: 0x0A)
    torn = Data(end.map { content[($0 + 1)...] } ?? content)
    guard let end else {
      (lastSequence, lastHash) = (0, AuditLine.origin)
      return
    }
    let lines = content[..<end]
    let last = lines.lastIndex(of: 0x0A).map { lines[($0 + 1)...] } ?? lines
    guard let line = try? JSONDecoder().decode(AuditLine.self, from: Data(last)), line.sequence > 0,
      line.sequence < .max
    else {
      throw TrainerError(
        .checkFailed,
        "\(path): its last line is not one of an audit log; look with `trainer verify-log`, and move the file away to begin a new one"
      )
    }
    lastSequence = line.sequence
    lastHash = AuditLine.hash(of: last)
  }

  /// Copies an unfinished line to a file of its own, before the log is opened and cuts it off.
  ///
  /// A file that was put aside for the next sequence number but is not spoken of in the log, because the trainer was killed in
  /// between, is spoken of now.
  ///
  /// - Returns: what to say of it; nil when all is well.
  func putTornLineAside() throws -> String? {
    let directory = (path as NSString).deletingLastPathComponent
    let stem = "\(AuditLog.fileName).torn-\(lastSequence + 1)"
    var names = try Directory.names(in: directory).filter { $0 == stem || $0.hasPrefix(stem + ".") }
    if !torn.isEmpty {
      let name = names.isEmpty ? stem : "\(stem).\(names.count + 1)"
      try AtomicFile.write(torn, to: directory + "/" + name, mode: 0o600, replacing: false)
      names.append(name)
    }
    guard !names.isEmpty else { return nil }
    return "a line that a crash left unfinished was put aside as \(names.sorted().joined(separator: ", "))"
  }
}
