package import Foundation

/// What a client's command keeps beside the file that it is to write, until that is whole.
///
/// The file appears first, and then what was kept is removed. A command that is killed between the two leaves both: given again it finds that it is
/// done. A file without the other is somebody's, and stays.
package enum PartialOutput {
  package static func path(_ output: URL) -> String { output.path + ".partial" }

  /// Whether a command may begin or go on: for what is to be refused before anything else is looked at.
  ///
  /// - Throws: `OwnerError.run` where the output is there and nothing beside it.
  package static func check(_ output: URL) throws(OwnerError) {
    _ = try beside(output)
  }

  /// The path of what is kept, where the output is there already; nil where it is not there.
  ///
  /// - Throws: `OwnerError.run` where it is there alone.
  static func beside(_ output: URL) throws(OwnerError) -> String? {
    guard FileManager.default.fileExists(atPath: output.path) else { return nil }
    guard FileManager.default.fileExists(atPath: path(output)) else { throw isTaken(output) }
    return path(output)
  }

  static func isTaken(_ output: URL) -> OwnerError {
    .run("\(output.path) is there already, and is not overwritten; choose another --out")
  }
}
