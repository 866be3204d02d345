package import ArgumentParser
import Files
import Foundation
import Foundations
import Protocol

/// How a server's program begins and ends.
package enum ServerMain {
  /// Runs the command that the arguments name; prints errors in one line and exits with the code of their kind.
  ///
  /// - Parameters:
  ///   - prepare: what has to come before all else.
  ///   - isService: whether a command serves: what it prints is in its log too, and it ends as its jobs did.
  package static func run<Root: ParsableCommand, Identity: ServerIdentity>(
    _ root: Root.Type, of identity: Identity.Type, prepare: () throws -> Void = {},
    isService: (any ParsableCommand) -> Bool
  ) {
    do {
      try prepare()
      ProcessHardening.reserveStandardStreams()
      ProcessHardening.reportFailedWrites()
      try ProcessHardening.disableCoreDumps()
      do {
        var command = try root.parseAsRoot()
        try command.run()
        if isService(command) { return }
      } catch  where root.exitCode(for: error) == .success {
        // Help and versions come as errors, and are results like any other.
        print(root.fullMessage(for: error))
      }
      try StandardOutput.finish()
    } catch let failure as any Failure {
      StandardError.write("\(identity.name): \(failure.description.printable(limit: 4000))\n")
      exit(failure.kind.exitCode)
    } catch {
      StandardError.write(root.fullMessage(for: error) + "\n")
      let isUsage = root.exitCode(for: error) == .validationFailure
      exit(isUsage ? FailureKind.usage.exitCode : FailureKind.defect.exitCode)
    }
  }
}
