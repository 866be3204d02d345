import ArgumentParser
import Foundation
import JobSpec
import Masking
import OwnerSession
import Transport
import Wire

/// A run directory that exists.
struct RunDirectoryOption: ParsableArguments {
  @Argument(help: "The run directory.", completion: .directory)
  var run: String

  var directory: RunDirectory { RunDirectory(root: URL(filePath: run)) }

  /// The run's state, its resolved job, and a connection to its trainer.
  func open(checkFiles: Bool = false) throws -> OpenedRun {
    let state = try RunState.load(directory)
    return OpenedRun(
      directory: directory, state: state,
      job: try ResolvedJob.load(path: directory.resolvedJob.path, checkFiles: checkFiles))
  }
}
