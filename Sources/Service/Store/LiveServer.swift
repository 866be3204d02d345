package import Files
package import Foundation

/// The server at work on a store, as the store's files tell; its JSON form is stable.
package struct LiveServer: Codable, Sendable, Equatable {
  package var host: String
  package var pid: Int32
  /// Empty when it only connects to owners, or has not begun to listen.
  package var endpoints: [String]
  package var connecting: [String]
  package var started: String?
  package var publicKey: String?
  /// Since it was last heard of, by this machine's clock.
  package var heardSecondsAgo: Double

  /// Reads the store alone; writes nothing.
  ///
  /// - Returns: the store's lease, also one that a kill left; and the server, nil when none is alive.
  package static func find(in store: URL, program: String) -> (lease: LeaseRecord?, server: LiveServer?) {
    let place = StoreLease.place(store, of: program)
    let lease = try? LeaseRecord.read(place)
    guard let lease, let renewed = LeaseRecord.renewalTime(place) else { return (lease, nil) }
    // Two clocks may disagree in either direction.
    let age = abs(Date().timeIntervalSince1970 - renewed)
    guard lease.holder.isAlive ?? (age < LeaseTimes().limit / .seconds(1)) else { return (lease, nil) }
    // One that a kill left is another process's; in containers those have the same few numbers.
    let endpoint = EndpointRecord.read(store).flatMap {
      $0.pid == lease.holder.pid && $0.host == lease.holder.host ? $0 : nil
    }
    let server = LiveServer(
      host: lease.holder.host, pid: lease.holder.pid, endpoints: endpoint?.endpoints ?? [],
      connecting: endpoint?.connecting ?? [], started: endpoint?.started, publicKey: endpoint?.publicKey,
      heardSecondsAgo: age)
    return (lease, server)
  }

  /// For a person: which process it is and where it is reached.
  package func line(program: String) -> String {
    var line = "\(program): process \(pid) on \(host)"
    if !endpoints.isEmpty { line += ", listening at \(endpoints.joined(separator: ", "))" }
    if !connecting.isEmpty { line += ", connecting to \(connecting.joined(separator: ", "))" }
    return line + ", lease renewed \(Int(heardSecondsAgo.rounded())) s ago"
  }
}
