package import Foundations
import Foundation

/// A file that could not be read or written, or whose content is not what it should be.
package enum FileError: Failure, Equatable {
  /// The system refused; `code` is errno.
  case system(SystemOperation, path: String, code: Int32)
  case file(path: String, FileProblem)
  /// `path` is nil for bytes that came from no file.
  case safetensors(path: String?, SafetensorsProblem)
  case checkpoint(path: String, TrainingCheckpointProblem)
  case rows(path: String, RowFileProblem)
  case log(path: String, LineLogProblem)
  case layout(PlaintextLayoutProblem)
  /// `path` is the directory, or the file in it that is wrong.
  case huggingFace(path: String, HuggingFaceProblem)

  package var kind: FailureKind {
    switch self {
    case .system(let operation, _, let code): Self.kind(operation, code)
    case .checkpoint(_, let problem): problem.kind
    case .rows(_, let problem): problem.kind
    case .log(_, let problem): problem.kind
    case .safetensors(_, let problem): problem.kind
    case .file, .layout, .huggingFace: .inputData
    }
  }

  private static func kind(_ operation: SystemOperation, _ code: Int32) -> FailureKind {
    switch code {
    case ENOSPC, EDQUOT, EFBIG, ENOMEM, EMFILE, ENFILE: .exhausted
    case EACCES, EPERM, EROFS, EEXIST: .keyOrPermission
    case ENOENT, ENOTDIR, EISDIR, ENAMETOOLONG: operation.isReading ? .inputData : .usage
    // Every other code means that a device fails.
    default: operation.isReading ? .inputData : .exhausted
    }
  }

  package var description: String {
    switch self {
    case .system(let operation, let path, let code):
      "cannot \(operation.rawValue) \(path): \(String(cString: strerror(code)))\(Self.advice(operation, code))"
    case .file(let path, let problem): "\(path) \(problem.description)"
    case .safetensors(let path?, let problem): "\(path) is not a valid safetensors file: \(problem.description)"
    case .safetensors(nil, let problem): "not valid safetensors: \(problem.description)"
    case .checkpoint(let path, let problem): "\(path): \(problem.description)"
    case .rows(let path, let problem): "row file \(path): \(problem.description)"
    case .log(let path, let problem): "\(path): \(problem.description)"
    case .layout(let problem): problem.description
    case .huggingFace(let path, let problem): "\(path): \(problem.description)"
    }
  }

  /// Files are the server's own, wherever another party hears of one.
  package var descriptionForOthers: String {
    switch self {
    case .system(_, _, let code):
      kind == .exhausted
        ? "its store is full (\(String(cString: strerror(code)))); its operator has to make room"
        : "it cannot use its store (\(String(cString: strerror(code)))); ask its operator"
    case .log(_, let problem): "a log of its store \(problem.description)"
    case .file, .safetensors, .checkpoint, .rows, .layout, .huggingFace:
      "a file of its store is damaged; ask its operator"
    }
  }

  /// What is wrong with which file, without its directories, which are its machine's own business.
  package var descriptionByName: String {
    guard let path, let name = path.split(separator: "/").last else { return description }
    return description.replacing(path, with: name)
  }

  private var path: String? {
    switch self {
    case .system(_, let path, _), .file(let path, _), .checkpoint(let path, _), .rows(let path, _), .log(let path, _),
      .huggingFace(let path, _):
      path
    case .safetensors(let path, _): path
    case .layout: nil
    }
  }

  private static func advice(_ operation: SystemOperation, _ code: Int32) -> String {
    switch code {
    case ENOSPC: "; free space on that file system and start again, nothing written before is lost"
    case EDQUOT: "; the disk quota is used up: free space and start again, nothing written before is lost"
    case EFBIG: "; raise the file size limit (ulimit -f)"
    case EEXIST: "; it is not overwritten: move it away first"
    case ENOENT where !operation.isReading: "; does the directory exist?"
    default: ""
    }
  }
}

/// Why a file is not read though the system would let it.
package enum FileProblem: Equatable, Sendable, CustomStringConvertible {
  /// A named pipe, a device, a socket.
  case notRegular
  /// More bytes than any such file has.
  case tooLong(limit: Int)
  /// It ends before what is to be in it.
  case short
  /// Its content does not have the hash that it was written with.
  case altered
  /// It does not begin as files of this kind do.
  case foreign

  package var description: String {
    switch self {
    case .notRegular: finding
    case .tooLong: "\(finding): it is damaged, or another file"
    case .short, .altered: "\(finding): it is damaged"
    case .foreign: "\(finding); move it away"
    }
  }

  /// What was found, without what follows from it.
  package var finding: String {
    switch self {
    case .notRegular: "is not a regular file"
    case .tooLong(let limit): "is longer than \(limit) bytes, which it never is"
    case .short: "ends too early"
    case .altered: "is not as it was written (its checksum differs)"
    case .foreign: "is there and is not a file of this program's"
    }
  }
}

/// What was being done to a file when the system refused.
package enum SystemOperation: String, Sendable {
  case open, read, create, write, sync, rename, truncate, list, remove, protect

  var isReading: Bool {
    switch self {
    case .open, .read, .list: true
    case .create, .write, .sync, .rename, .truncate, .remove, .protect: false
    }
  }
}
