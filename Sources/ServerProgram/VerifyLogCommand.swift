package import ArgumentParser
import Foundations
import Foundation
import Service

/// `verify-log`: checks a server's event log.
package struct VerifyLogCommand<Identity: ServerIdentity>: ParsableCommand {
  package static var configuration: CommandConfiguration {
    CommandConfiguration(
      commandName: "verify-log", abstract: "Check that an event log was not changed.",
      discussion: """
        Every line of STORE/audit.log holds the SHA-256 of the line before, so a line that was changed, removed, inserted or moved shows. \
        Lines taken off the end, and a change of the very last line, do not show by themselves: note the last hash that is printed, somewhere \
        else, now and then, and give it back with --expect. The log must then still hold the line with that hash, however much was \
        added since.

        Exit codes: 0 whole · 7 broken, empty, or without the expected line · 3 no such file.

        Example: \(Identity.name) verify-log /scratch/\(Identity.name) --expect 5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef
        """)
  }

  @Argument(help: "The \(Identity.name)'s store, or a log file.", completion: .file())
  package var storeOrFile: String

  @Option(help: ArgumentHelp("A last hash that was noted before.", valueName: "hash"))
  package var expect: String?

  package init() {}

  package func validate() throws {
    guard let expect else { return }
    guard expect.utf8.count == 64, expect.allSatisfy(\.isHexDigit) else {
      throw ValidationError("--expect takes the 64 hexadecimal digits that verify-log printed as the last hash")
    }
  }

  package func run() throws {
    var isDirectory: ObjCBool = false
    _ = FileManager.default.fileExists(atPath: storeOrFile, isDirectory: &isDirectory)
    let path = isDirectory.boolValue ? storeOrFile + "/" + EventLog.fileName : storeOrFile
    let expected = expect?.lowercased()
    let found = try EventLogVerification(path: path, expected: expected)
    print("lines: \(found.lines)")
    if found.tornBytes > 0 {
      print("unfinished: \(found.tornBytes) bytes after the last line (a line being written, or cut off by a crash)")
    }
    if let first = found.clockSetBack.first {
      print("clock: set back \(found.clockSetBack.count) times, first before line \(first); the order of lines holds")
    }
    if let broken = found.firstBreak {
      throw ServiceError(.checkFailed, "\(path) is broken at line \(broken.line) of \(found.lines): \(broken.reason)")
    }
    guard found.lines > 0 else {
      throw ServiceError(
        .checkFailed,
        "\(path) holds no whole line: there is nothing to check. A \(Identity.name) writes one when it starts, so that a log without any was "
          + "emptied, or never begun")
    }
    print("last hash: \(found.lastHash)")
    if expected != nil {
      guard let line = found.expectedLine else {
        throw ServiceError(
          .checkFailed, "\(path) holds no line with the expected hash: lines at its end were changed or removed")
      }
      print("expected: line \(line), \(found.lines - line) lines before the end")
    }
    print("the chain is whole")
  }
}
