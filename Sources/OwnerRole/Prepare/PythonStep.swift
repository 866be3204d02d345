import Foundation
import Foundations

/// A script of the project's own that a command hands over to: what well-kept Python libraries do better than this program would.
package struct PythonStep: Sendable, Equatable {
  /// Names the interpreter, which has the packages of the script.
  package static let variable = "EQUIVARIANT_PYTHON"

  package let interpreter: String
  package let script: String

  /// Looks for the script beside the program, in a checkout or an unpacked archive, and for its interpreter: what `EQUIVARIANT_PYTHON` names, else
  /// the environment of that checkout.
  ///
  /// - Parameters:
  ///   - name: of the script: "convert.py".
  ///   - program: path of the running program, links resolved.
  /// - Throws: `OwnerError.run` that names what is missing, and the command that makes it.
  package init(
    _ name: String, program: String, environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws(OwnerError) {
    let files = FileManager.default
    var folder = URL(fileURLWithPath: program).deletingLastPathComponent()
    var found: (root: String, script: String)?
    // .build/x86_64-unknown-linux-gnu/release is four below a checkout, bin one below an archive.
    for _ in 0..<6 where found == nil {
      for place in ["jobs/prepare", "share/prepare"] {
        let script = folder.appendingPathComponent(place).appendingPathComponent(name).path
        if files.isReadableFile(atPath: script) { found = (folder.path, script) }
      }
      folder.deleteLastPathComponent()
    }
    guard let found else {
      throw .run(
        "\(name) is neither in jobs/prepare of a checkout nor in share/prepare of an archive around \(program)")
    }
    script = found.script
    if let named = environment[Self.variable], !named.isEmpty {
      guard files.isExecutableFile(atPath: named) else {
        throw .run("\(Self.variable) names \(named.printable(limit: 400)), which is no program")
      }
      interpreter = named
      return
    }
    let own = found.root + "/.venv/bin/python"
    guard files.isExecutableFile(atPath: own) else {
      throw .run(
        "no Python is there for \(name): `make .venv/bin/python` in the project makes it, or let \(Self.variable) name one that has the packages of "
          + "jobs/replay/requirements.txt")
    }
    interpreter = own
  }

  /// Becomes the script, whose output and exit code are then the program's.
  ///
  /// - Throws: `OwnerError.run` where the interpreter cannot be started.
  package func become(_ arguments: [String]) throws(OwnerError) -> Never {
    let words = [interpreter, script] + arguments
    var pointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
    pointers.append(nil)
    // Returns only where it failed.
    execv(interpreter, &pointers)
    let reason = String(cString: strerror(errno))
    for pointer in pointers { free(pointer) }
    throw .run("\(interpreter.printable(limit: 400)) cannot be started: \(reason)")
  }
}
