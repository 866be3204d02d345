import CFaults
import CHDF5
import Foundation

/// The only way into libhdf5: every call takes its lock.
///
/// libhdf5's state (identifiers, caches, error stacks) belongs to the process, not to a file, and most builds of it are not
/// thread-safe (Debian's is, conda's and Fedora's are not). A lock per file or a non-`Sendable` file type would therefore
/// not do: a background thread that reads ahead and the main thread that appends predictions hold different files and
/// still meet inside the library. So the lock is as wide as the state that it protects, and every call goes through
/// `locked`. It is recursive because a `Handle` may be released, and then closes its identifier, while the lock is held.
/// Readers hold it for one block of rows, so other threads wait for milliseconds.
///
/// libhdf5's parser of metadata, and of strings of varying length above all, faults on some damaged files instead of refusing them.
/// A program that has called `ProcessHardening.reportFaults` then ends with a line that names the file and exit code 3: in a library
/// that has just faulted nothing can be gone on with, and whatever is worth keeping is on the disk, as for a kill at any other moment.
enum HDF5Library {
  private static let lock = NSRecursiveLock()

  private static let prepared: Bool = {
    // Without this, exit() closes the library under a background thread that still reads. Writers close what they wrote.
    H5dont_atexit()
    guard H5open() >= 0 else { return false }
    // No filter code is ever loaded from a path that the environment or a file names.
    return H5PLset_loading_state(0) >= 0
  }()

  /// Runs `body` while no other thread is inside libhdf5. Reads the error stack, if at all, before it returns.
  static func locked<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    lock.lock()
    faults_enter()
    defer {
      faults_leave()
      lock.unlock()
    }
    _ = prepared
    // Printing is a setting of the calling thread in thread-safe builds, so it is switched off on each of them.
    _ = hdf5SilenceErrors()
    return try body()
  }

  /// Runs a libhdf5 call that reports failure by a negative result, and turns that into an error.
  /// - Parameters:
  ///   - reason: what a failure means here; a full disk is recognised by itself.
  ///   - problem: what could not be done; libhdf5's own message is added to it.
  static func check<Status: SignedInteger>(
    _ reason: DatasetError.Reason, _ location: DataLocation, _ problem: @autoclosure () -> String,
    _ call: () -> Status
  ) throws(DatasetError) -> Status {
    try locked { () throws(DatasetError) -> Status in
      name(location)
      let status = call()
      if status >= 0 { return status }
      let errors = ErrorStack.ofThisThread()
      if errors.isDiskFull { throw .diskFull(location) }
      throw DatasetError(reason, location, "\(problem())\(errors.explanation)")
    }
  }
}

extension HDF5Library {
  /// Notes what is worked on, for the line that a fault leaves.
  private static func name(_ location: DataLocation) {
    var file = location.file
    var object = location.object ?? ""
    file.withUTF8 { file in
      object.withUTF8 { faults_name(file.baseAddress, file.count, $0.baseAddress, $0.count) }
    }
  }
}

/// An open libhdf5 identifier (file, group, dataset, type, dataspace, attribute or property list), closed when the last
/// reference to it goes.
///
/// `Sendable` without exception: the number never changes, and the object it names is used under the library's lock only.
final class Handle: Sendable {
  private let id: hid_t

  /// Takes over the identifier that `open` returns.
  /// - Throws: `DatasetError` of `reason` when it is negative.
  init(
    _ reason: DatasetError.Reason, _ location: DataLocation, _ problem: @autoclosure () -> String, _ open: () -> hid_t
  ) throws(DatasetError) {
    id = try HDF5Library.check(reason, location, problem(), open)
  }

  deinit {
    // Closing any kind of identifier is dropping its last count. A failure leaves nothing to be done here: whoever needs to
    // know (a writer) has flushed before.
    HDF5Library.locked { _ = H5Idec_ref(id) }
  }

  /// Runs `body` under the library's lock; the identifier stays open at least until it returns.
  func use<Result, Failure: Error>(_ body: (hid_t) throws(Failure) -> Result) throws(Failure) -> Result {
    defer { withExtendedLifetime(self) {} }
    return try HDF5Library.locked { () throws(Failure) -> Result in try body(id) }
  }
}

/// The messages that libhdf5 left on the calling thread's error stack when a call failed, the cause first.
struct ErrorStack {
  var messages: [String] = []

  /// Must run in the same `HDF5Library.locked` block as the failed call: the next call clears the stack.
  static func ofThisThread() -> ErrorStack {
    var stack = ErrorStack()
    withUnsafeMutablePointer(to: &stack) { pointer in
      _ = hdf5WalkErrors(
        { _, entry, context in
          guard let entry, let text = entry.pointee.desc, let context else { return 0 }
          context.assumingMemoryBound(to: ErrorStack.self).pointee.messages.append(String(cString: text))
          return 0
        }, pointer)
    }
    return stack
  }

  /// ` (libhdf5: …)` with the cause, or nothing.
  var explanation: String {
    guard let cause = messages.first else { return "" }
    return " (libhdf5: \(cause))"
  }

  /// Whether a write failed because there is no room: the file driver puts the error number into its message.
  var isDiskFull: Bool {
    // EFBIG is how a limit on the size of files (ulimit -f) shows.
    let numbers = [ENOSPC, EDQUOT, EFBIG].map { "errno = \($0)," }
    return messages.contains { message in numbers.contains { message.contains($0) } }
  }

  /// Whether a message says that the file is shorter than its superblock.
  static func isTruncation(_ message: String) -> Bool { message.contains("truncated file") }
}
