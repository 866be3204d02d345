import Checkpoints
package import Foundation

/// The files of a run. Weights, history and plan are plaintext: every file is its owner's alone (0600), and so are the directories in it.
package struct RunDirectory: Sendable {
  package let root: URL

  package init(root: URL) {
    self.root = root
  }

  package var resolvedJob: URL { root.appending(path: "job.resolved.yaml") }
  package var plan: URL { root.appending(path: "plan.h5") }
  package var initialWeights: URL { root.appending(path: "initial.safetensors") }
  package var history: URL { root.appending(path: "history.jsonl") }
  package var summary: URL { root.appending(path: "summary.json") }
  /// Names of columns, classes and rows.
  package var names: URL { root.appending(path: "names.json") }
  package var model: URL { root.appending(path: "model") }
  package var state: URL { root.appending(path: "state") }
  package var jobKey: URL { state.appending(path: "job.key") }
  package var runState: URL { state.appending(path: "run.json") }
  /// What the run was trained on, as hashes.
  package var dataDigest: URL { state.appending(path: "data.json") }
  package var standardization: URL { state.appending(path: "standardization.safetensors") }

  var lease: LeasePlace { LeasePlace(directory: state, file: "run.lease", subject: "the run") }

  package var exists: Bool { FileManager.default.fileExists(atPath: runState.path) }

  /// Creates the directory and its `state`, readable by this user alone.
  ///
  /// - Throws: `OwnerError.run` when something else is there already; `.openToOthers` for an existing directory that others can write
  ///   to; `CheckpointError` when it cannot be made.
  package func create() throws {
    let manager = FileManager.default
    if let entries = try? manager.contentsOfDirectory(atPath: root.path), !entries.isEmpty {
      if exists {
        throw OwnerError.run("\(root.path) already holds a run; go on with it by --resume, or choose another --out")
      }
      try RunLease.checkFree(self)
      throw OwnerError.run("\(root.path) is not empty and holds no run; choose another --out")
    }
    var status = stat()
    // In a sticky directory others cannot exchange what is not theirs.
    if stat(root.path, &status) == 0, status.st_mode & (S_IWGRP | S_IWOTH) != 0, status.st_mode & S_ISVTX == 0 {
      throw OwnerError.openToOthers(
        "\(root.path) can be written to by other users, who could exchange the run's files; chmod go-w it, or choose another --out"
      )
    }
    try Directory.create(state.path)
  }
}
