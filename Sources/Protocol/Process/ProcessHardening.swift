import CFaults
import CZeroMQ
import Dispatch
import Foundation
import Glibc

/// Keeps the secrets in this process's memory from reaching the disk or another process by way of the kernel.
package enum ProcessHardening {
  /// Forbids core dumps and attaching a debugger as the same user, for the rest of the process's life.
  ///
  /// - Throws: `.system` when the kernel refuses.
  package static func disableCoreDumps() throws(TransportError) {
    var none = rlimit(rlim_cur: 0, rlim_max: 0)
    guard setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none) == 0 else {
      throw .system(operation: "forbidding core dumps", code: errno, reason: SystemCode.text(errno))
    }
    guard czmq_set_undumpable() == 0 else {
      throw .system(operation: "forbidding core dumps", code: errno, reason: SystemCode.text(errno))
    }
  }

  /// Makes a fault of this process a line on standard error and an exit code, for the rest of its life: 3 where libhdf5 broke down on a damaged
  /// file, 70 for a defect. The report of the Swift runtime, which this replaces, prints registers and the memory they point to, and with them
  /// rows or keys.
  ///
  /// - Parameter program: begins the line.
  /// - Throws: `.system` when the kernel refuses.
  package static func reportFaults(program: String) throws(TransportError) {
    // Never freed: a fault may come at any time.
    guard faults_install(strdup(program)) == 0 else {
      throw .system(operation: "handling faults", code: errno, reason: SystemCode.text(errno))
    }
  }

  /// Keeps the numbers of standard input, output and error that this process was started without from going to the next file it opens, into
  /// which everything printed would be written. Writing to them fails, as it did before.
  ///
  /// To be called before any file is opened.
  package static func reserveStandardStreams() {
    for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(descriptor, F_GETFD) == -1 {
      // The lowest free number is this one, those below being taken.
      _ = open("/dev/null", O_RDONLY)
    }
  }

  /// Makes a write past the limit on file sizes, or to a pipe that nobody reads, an error of that write, which says what failed and leaves
  /// the run to be resumed; by default either would end the process without an error.
  package static func reportFailedWrites() {
    signal(SIGXFSZ, SIG_IGN)
    signal(SIGPIPE, SIG_IGN)
  }
}

/// Hands signals to a queue of its own instead of their default action.
package final class SignalWatch {
  private let sources: [any DispatchSourceSignal]

  /// Returns when every signal is watched: Dispatch registers a source on another thread, and a signal that came before
  /// would be ignored.
  ///
  /// - Parameter handler: called for each signal, on the watch's queue.
  package init(_ signals: [Int32], handler: @escaping @Sendable (Int32) -> Void) {
    let queue = DispatchQueue(label: "signals", qos: .userInitiated)
    let registered = DispatchSemaphore(value: 0)
    sources = signals.map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      source.setEventHandler { handler(number) }
      source.setRegistrationHandler { registered.signal() }
      source.resume()
      return source
    }
    for _ in signals { registered.wait() }
  }
}
