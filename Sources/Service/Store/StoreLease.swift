package import Files
package import Foundation
package import Foundations
import Protocol

/// `store.json`: in which form a store's files are, so that a version that knows another form, and a server of another kind, leave them
/// alone.
package struct StoreFormat: Encodable {
  /// Of a trainer's store. 2: jobs may state a precision, which a trainer that knows form 1 alone would pass over.
  package static let current = 2
  /// Of a trainer's, too: taken, and marked anew.
  private static let earlier = 1
  /// Of every other server's.
  private static let ofOthers = 1

  let format: Form
  /// Who made the store.
  let software: String

  /// A number for trainers, which had stores first; the program's name and a number for every other server: `aggregator 1`.
  enum Form: Encodable, Equatable {
    case number(Int)
    case text(String)

    init(_ program: String) {
      self = program == "trainer" ? .number(current) : .text("\(program) \(ofOthers)")
    }

    func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      switch self {
      case .number(let number): try container.encode(number)
      case .text(let text): try container.encode(text)
      }
    }

    var description: String {
      switch self {
      case .number(let number): "\(number)"
      case .text(let text): text
      }
    }
  }

  /// Checks the store, and marks one that has no mark.
  ///
  /// - Throws: `StoreError.otherVersion`, `.damaged`; `FileError` when it cannot be read or written.
  static func claim(_ store: URL, program: String, software: String) throws {
    guard try found(in: store, program) != Form(program) else { return }
    let mark = try JSONEncoder().encode(StoreFormat(format: Form(program), software: software))
    try AtomicFile.write(mark, to: path(store), mode: 0o644)
  }

  /// - Parameter program: the server whose store it is to be.
  /// - Returns: false for a store without a mark: a new one, or a trainer's of a version before there were marks, whose form is the first.
  /// - Throws: as `claim`.
  @discardableResult
  package static func check(_ store: URL, of program: String) throws -> Bool {
    try found(in: store, program) != nil
  }

  /// The mark, of the present form or one that is upgraded; nil where there is none.
  private static func found(in store: URL, _ program: String) throws -> Form? {
    let path = path(store)
    guard let bytes = try SmallFile.read(path) else { return nil }
    guard let object = try? JSONSerialization.jsonObject(with: bytes) as? [String: Any],
      let format = object["format"]
    else { throw StoreError.damaged(path: path) }
    let expected = Form(program)
    let found = (format as? Int).map(Form.number) ?? (format as? String).map(Form.text)
    let isKnown = found == expected || expected == .number(current) && found == .number(earlier)
    guard let found, isKnown else {
      throw StoreError.otherVersion(
        path: store.path, format: "\(format)".printable(limit: 20), expected: expected.description)
    }
    return found
  }

  /// Whether a server has kept jobs in this store before.
  static func hasServed(_ store: URL) -> Bool {
    FileManager.default.fileExists(atPath: jobs(in: store).path)
  }

  /// Where the jobs are, each in a folder of its own.
  package static func jobs(in store: URL) -> URL {
    store.appending(path: "jobs")
  }

  private static func path(_ store: URL) -> String {
    store.appending(path: "store.json").path
  }
}

/// Why a store cannot be used as it is.
package enum StoreError: Failure, Equatable {
  /// There is no directory.
  case missing(path: String)
  /// Another server of this kind that is alive, or may be, has it.
  case held(path: String, by: String, program: String)
  /// Another one took it over while this one was not heard of.
  case taken(path: String, program: String)
  /// `format` as the store states it.
  case otherVersion(path: String, format: String, expected: String)
  case damaged(path: String)

  package var kind: FailureKind {
    switch self {
    case .missing, .otherVersion, .damaged: .inputData
    case .held, .taken: .usage
    }
  }

  package var description: String {
    switch self {
    case .missing(let path): "there is no store at \(path)"
    case .held(let path, let holder, let program):
      "the store \(path) is held by another \(program) that is alive (\(holder)); end that one, or give this one a store of its own"
    case .taken(let path, let program):
      "another \(program) has taken the store \(path) over, because this one did not renew its lease for too long; that one goes on with the jobs"
    case .otherVersion(let path, let format, let expected):
      "the store \(path) was written by another version of this program (format \(format), this one knows \(expected)); "
        + "use that version, or give this one a store of its own"
    case .damaged(let path): "\(path) is damaged; restore it, or start with an empty store"
    }
  }
}

/// Holds a store for one server by a lease of its program's name: `trainer.lease`.
package final class StoreLease: Sendable {
  private let lease: DirectoryLease

  /// Makes the store where there is none, and waits for as long as another server may be alive that has it.
  ///
  /// - Parameters:
  ///   - program: name of the server, as in `trainer`.
  ///   - software: name and version, for the mark of a new store.
  ///   - waiting: told when that is so.
  ///   - isCancelled: asked meanwhile.
  ///   - onLoss: called on another thread when somebody else has taken the store over; nothing may be written to it then.
  /// - Throws: `StoreError`; `FileError` when the store cannot be read or written; `CancellationError`.
  package init(
    store: URL, program: String, software: String, holder: ProcessIdentity = .own, times: LeaseTimes = LeaseTimes(),
    waiting: @escaping (String) -> Void = { _ in }, isCancelled: @escaping () -> Bool = { false },
    onLoss: @escaping @Sendable (StoreError) -> Void
  ) throws {
    try Directory.create(store.path)
    try StoreFormat.claim(store, program: program, software: software)
    do {
      lease = try DirectoryLease(
        Self.place(store, of: program), holder: holder, times: times, waiting: waiting, isCancelled: isCancelled,
        onLoss: { onLoss(StoreError($0, program: program)) })
    } catch let error as LeaseError {
      throw StoreError(error, program: program)
    }
  }

  package static func place(_ store: URL, of program: String) -> LeasePlace {
    LeasePlace(directory: store, file: "\(program).lease", subject: "the store")
  }

  /// Gives the store up. Call when nothing writes to it any more.
  package func release() {
    lease.release()
  }

  /// Writes to the lease that the job runs, for those who read the store.
  package func jobStarted(_ job: JobID) {
    lease.updateJobs { jobs in
      if !jobs.contains(job.description) { jobs.append(job.description) }
    }
  }

  /// Writes to the lease that the job does not run any more.
  package func jobEnded(_ job: JobID) {
    lease.updateJobs { jobs in jobs.removeAll { $0 == job.description } }
  }
}

extension StoreError {
  fileprivate init(_ error: LeaseError, program: String) {
    switch error {
    case .held(let place, let holder): self = .held(path: place.directory.path, by: holder, program: program)
    case .taken(let place): self = .taken(path: place.directory.path, program: program)
    case .damaged(let path): self = .damaged(path: path)
    }
  }
}

/// `endpoint.json`: where a server is reached that was started on some node or other, for whoever passes it on.
package struct EndpointRecord: Codable, Sendable, Equatable {
  /// `tcp://HOST:PORT` under this machine's name; empty when the server only connects to owners.
  package let endpoints: [String]
  /// Owners it connects to.
  package let connecting: [String]
  package let host: String
  package let pid: Int32
  /// ISO 8601.
  package let started: String
  /// The server's, in z85.
  package let publicKey: String

  /// - Parameter listening: the address as it was bound.
  package init(listening: String?, connecting: [String], publicKey: String) {
    let host = ProcessIdentity.hostName
    self.host = host
    endpoints = listening.map { [Self.reachable($0, host: host)] } ?? []
    self.connecting = connecting
    pid = getpid()
    started = Date().ISO8601Format()
    self.publicKey = publicKey
  }

  /// With the machine's name in place of an address that means all of its own.
  static func reachable(_ endpoint: String, host: String) -> String {
    for all in ["0.0.0.0", "*", "[::]"] where endpoint.hasPrefix("tcp://\(all):") {
      return "tcp://\(host):" + endpoint.dropFirst("tcp://\(all):".count)
    }
    return endpoint
  }

  /// - Throws: `FileError`; `.file(.notRegular)` when a directory is in its place.
  package func write(to store: URL) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let bytes = try encoder.encode(self)
    do throws(FileError) {
      try AtomicFile.write(bytes, to: Self.path(store), mode: 0o644)
    } catch {
      if case .system(.rename, let path, EISDIR) = error { throw FileError.file(path: path, .notRegular) }
      throw error
    }
  }

  /// At a clean end; one that a kill leaves is replaced by the next server's.
  package func remove(from store: URL) {
    if Self.read(store) == self { unlink(Self.path(store)) }
  }

  /// Nil when there is none that can be read.
  package static func read(_ store: URL) -> EndpointRecord? {
    guard let bytes = try? SmallFile.read(path(store)) else { return nil }
    return try? JSONDecoder().decode(EndpointRecord.self, from: bytes)
  }

  private static func path(_ store: URL) -> String {
    store.appending(path: "endpoint.json").path
  }
}
