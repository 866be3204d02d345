import Checkpoints
package import Foundation

/// The files of a run, as `interface.md` fixes them.
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
  package var model: URL { root.appending(path: "model") }
  package var state: URL { root.appending(path: "state") }
  package var jobKey: URL { state.appending(path: "job.key") }
  package var runState: URL { state.appending(path: "run.json") }

  package var exists: Bool { FileManager.default.fileExists(atPath: runState.path) }

  /// Creates the directory and its `state`, readable by this user alone.
  ///
  /// - Throws: `OwnerError.run` when something else is there already; `CheckpointError` when it cannot be made.
  package func create() throws {
    let manager = FileManager.default
    if let entries = try? manager.contentsOfDirectory(atPath: root.path), !entries.isEmpty {
      throw OwnerError.run(
        exists
          ? "\(root.path) already holds a run; go on with it by --resume, or choose another --out"
          : "\(root.path) is not empty and holds no run; choose another --out")
    }
    try Directory.create(state.path)
  }
}
