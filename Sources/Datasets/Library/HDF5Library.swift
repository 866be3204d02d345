import CHDF5
import Foundation

/// The one door to libhdf5.
///
/// libhdf5's state (identifiers, caches, error stacks) belongs to the process, not to a file, and most builds of it are not
/// thread-safe (Debian's is, conda's and Fedora's are not). A lock per file or a non-`Sendable` file type would therefore
/// not do: a background thread that reads ahead and the main thread that appends predictions hold different files and
/// still meet inside the library. So the lock is as wide as the state that it protects, and every call goes through
/// `locked`. It is recursive because a `Handle` may be released, and then closes its identifier, while the lock is held.
/// Readers hold it for one block of rows, so other threads wait for milliseconds.
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
    defer { lock.unlock() }
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
      let status = call()
      if status >= 0 { return status }
      let errors = ErrorStack.ofThisThread()
      if errors.isDiskFull { throw .diskFull(location) }
      throw DatasetError(reason, location, "\(problem())\(errors.explanation)")
    }
  }
}
