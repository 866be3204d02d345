package import Failures
package import Foundation

/// Which directory is held, by which file in it, and what a person calls both.
package struct LeasePlace: Sendable, Equatable {
  package let directory: URL
  /// Name of the lease's file.
  package let file: String
  /// The directory as messages name it: "the store".
  package let subject: String

  package init(directory: URL, file: String, subject: String) {
    self.directory = directory
    self.file = file
    self.subject = subject
  }

  package var path: String { directory.appending(path: file).path }
}

/// How often a lease is renewed, and when it counts as left behind.
package struct LeaseTimes: Sendable {
  /// Between renewals.
  package var interval: Duration = .seconds(5)
  /// A lease renewed longer ago, by the file system's clock, is of a process that is gone, if it is not renewed now.
  package var limit: Duration = .seconds(30)

  package init() {}

  /// Renewals are seen within so long, whatever any clock says.
  var observation: Duration { interval * 2 + interval / 2 }
  /// Until two processes that take the same lease at once see which of them has it.
  var settling: Duration { interval / 10 }
}

/// Why a directory cannot be held.
package enum LeaseError: Failure, Equatable {
  /// Another process that is alive, or may be, has it.
  case held(LeasePlace, by: String)
  /// Another process took it over while this one was not heard of.
  case taken(LeasePlace)
  /// The lease's file, or what stands in its place, is none that this program wrote.
  case damaged(path: String)

  package var kind: FailureKind {
    switch self {
    case .held, .taken: .usage
    case .damaged: .inputData
    }
  }

  package var description: String {
    switch self {
    case .held(let place, let holder): "\(place.subject) \(place.directory.path) is in use by \(holder)"
    case .taken(let place):
      "another process has taken \(place.subject) \(place.directory.path) over, because this one was not heard of for too long"
    case .damaged(let path): "\(path) is damaged; restore or remove it"
    }
  }
}
