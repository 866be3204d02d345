import Foundation
import Testing

/// The programs as they were built, beside the tests themselves.
enum Program: String, CaseIterable {
  case encryptor
  case trainer
  case aggregator

  /// `swift test` builds every product into the directory of the test bundle, which is the running executable.
  var path: String {
    let tests =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    return (tests as NSString).deletingLastPathComponent + "/" + rawValue
  }
}

/// A program under test. Its output goes to files, so that it never waits for a reader; whatever happens, it is killed when
/// this is released.
final class ChildProcess {
  struct NotEnded: Error, CustomStringConvertible {
    let description: String
  }

  let processID: pid_t
  private let outputFile: String
  private let errorFile: String
  private var exitStatus: Int32?

  /// - Parameters:
  ///   - directory: where the files with its output are kept.
  ///   - largestFile: bytes that no file it writes may exceed.
  ///   - output: where standard output goes.
  ///   - environment: variables beside those of the test.
  init(
    _ program: Program, _ arguments: [String], directory: String, workingDirectory: String? = nil,
    largestFile: Int? = nil, output: StandardOutputPlace = .kept, environment: [String: String] = [:]
  ) throws {
    let name = directory + "/" + UUID().uuidString
    (outputFile, errorFile) = (name + ".out", name + ".err")
    var command = [program.path] + arguments
    if !environment.isEmpty { command = ["/usr/bin/env"] + environment.map { "\($0)=\($1)" } + command }
    switch output {
    case .kept: break
    case .fullDevice: command = ["/bin/sh", "-c", "exec \"$0\" \"$@\" >/dev/full"] + command
    case .closed: command = ["/bin/sh", "-c", "exec \"$0\" \"$@\" >&-"] + command
    }
    // A shell sets what only a process can set for itself, and becomes the program.
    if let largestFile {
      command = ["/bin/sh", "-c", "ulimit -f \(largestFile / 512) && exec \"$0\" \"$@\""] + command
    }
    if let workingDirectory { command = ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", workingDirectory] + command }
    processID = try Self.spawn(command, output: outputFile, errors: errorFile)
  }

  deinit {
    guard exitStatus == nil else { return }
    kill(processID, SIGKILL)
    var status: Int32 = 0
    waitpid(processID, &status, 0)
  }

  var output: String { (try? String(contentsOfFile: outputFile, encoding: .utf8)) ?? "" }
  var errors: String { (try? String(contentsOfFile: errorFile, encoding: .utf8)) ?? "" }

  var hasEnded: Bool {
    if exitStatus == nil {
      var status: Int32 = 0
      if waitpid(processID, &status, WNOHANG) == processID { exitStatus = status }
    }
    return exitStatus != nil
  }

  func signal(_ number: Int32) {
    if exitStatus == nil { kill(processID, number) }
  }

  /// Waits for the end.
  ///
  /// - Returns: the exit code, or 128 + the signal that ended it, as a shell has it.
  /// - Throws: `NotEnded` after `seconds`, having killed it.
  func wait(seconds: Double = 300) throws -> Int32 {
    guard Waiting.until(seconds, { hasEnded }), let exitStatus else {
      kill(processID, SIGKILL)
      throw NotEnded(description: "still running after \(seconds) s; it said:\n\(output)\(errors)")
    }
    return exitStatus & 0x7F == 0 ? exitStatus >> 8 & 0xFF : 128 + exitStatus & 0x7F
  }

  private static func spawn(_ command: [String], output: String, errors: String) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errors, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    // Signals as a shell gives them, whatever the test runner ignores.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    for number in [SIGPIPE, SIGXFSZ, SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, number) }
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
    var arguments = command.map { strdup($0) } + [nil]
    defer { arguments.forEach { free($0) } }
    var process: pid_t = 0
    let code = posix_spawn(&process, command[0], &actions, &attributes, &arguments, environ)
    guard code == 0 else {
      throw NotEnded(description: "\(command[0]) cannot be started: \(String(cString: strerror(code)))")
    }
    return process
  }
}

/// What a program left behind.
struct Ended {
  let code: Int32
  let output: String
  let errors: String

  /// That it was refused as a person should be told: by the documented exit code, in one line that says all of `texts`, with nothing on standard
  /// output, and by a program that ended by itself.
  ///
  /// - Parameter afterProgress: the line may follow lines of progress.
  func expectRefusal(
    _ code: Int32, saying texts: String..., afterProgress: Bool = false, program: Program = .encryptor,
    location: SourceLocation = #_sourceLocation
  ) {
    let lines = errors.split(separator: "\n", omittingEmptySubsequences: false)
    let own = lines.filter { $0.hasPrefix("\(program.rawValue): ") }
    #expect(self.code == code, "\(errors)", sourceLocation: location)
    #expect(own.count == 1, "one line tells why: \(errors)", sourceLocation: location)
    #expect(lines.last == "" && lines.dropLast().last == own.first, "it is the last line", sourceLocation: location)
    if !afterProgress { #expect(lines.count == 2, "and the only one: \(errors)", sourceLocation: location) }
    for text in texts {
      #expect(own.first?.contains(text) == true, "\(own.first ?? "") lacks: \(text)", sourceLocation: location)
    }
    #expect(output == "", sourceLocation: location)
  }
}

/// Waiting for another process, bounded.
enum Waiting {
  /// - Returns: whether `condition` came true within `seconds`.
  static func until(_ seconds: Double, _ condition: () throws -> Bool) rethrows -> Bool {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while try !condition() {
      guard ContinuousClock.now < deadline else { return false }
      usleep(5_000)
    }
    return true
  }
}

/// Where what a program prints goes.
enum StandardOutputPlace: CaseIterable {
  /// To a file, to be looked at.
  case kept
  /// `/dev/full`, which answers every write as a full disk does.
  case fullDevice
  /// Nowhere: the program is started without a standard output.
  case closed
}
