import Files
package import Foundation

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

  /// The machine's name for an address that stands for all of its own.
  static func reachable(_ endpoint: String, host: String) -> String {
    for all in ["0.0.0.0", "*", "[::]"] where endpoint.hasPrefix("tcp://\(all):") {
      return "tcp://\(host):" + endpoint.dropFirst("tcp://\(all):".count)
    }
    return endpoint
  }

  /// - Throws: `CheckpointError`; `.file(.notRegular)` when a directory is in its place.
  package func write(to store: URL) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let bytes = try encoder.encode(self)
    do throws(CheckpointError) {
      try AtomicFile.write(bytes, to: Self.path(store), mode: 0o644)
    } catch {
      if case .system(.rename, let path, EISDIR) = error { throw CheckpointError.file(path: path, .notRegular) }
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
