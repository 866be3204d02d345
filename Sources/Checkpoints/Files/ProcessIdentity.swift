import Foundation

/// A process that can be told from every other one, before or after it, on this machine or another.
package struct ProcessIdentity: Codable, Equatable, Sendable {
  package let host: String
  package let pid: Int32
  /// Of the machine's present boot; empty where it is not known.
  package let boot: String
  /// In which process numbers count: containers of one machine have numbers of their own.
  package let namespace: String
  /// Clock ticks between the boot and the start of the process: numbers are given again, but not within a tick.
  package let startTicks: UInt64

  package init(host: String, pid: Int32, boot: String, namespace: String, startTicks: UInt64) {
    self.host = host
    self.pid = pid
    self.boot = boot
    self.namespace = namespace
    self.startTicks = startTicks
  }

  package static var own: ProcessIdentity {
    let pid = getpid()
    return ProcessIdentity(
      host: hostName, pid: pid, boot: bootID, namespace: namespaceID, startTicks: startTicks(of: pid) ?? 0)
  }

  /// Whether the process lives; nil when that cannot be seen from here.
  package var isAlive: Bool? {
    guard !boot.isEmpty, boot == Self.bootID, namespace == Self.namespaceID else { return nil }
    guard let ticks = Self.startTicks(of: pid) else { return kill(pid, 0) == 0 || errno == EPERM ? nil : false }
    return ticks == startTicks
  }

  package static var hostName: String {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
    return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  private static var bootID: String {
    let text = try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
    return String((text ?? "").prefix { !$0.isWhitespace })
  }

  private static var namespaceID: String {
    (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/pid")) ?? ""
  }

  /// The 22nd field of /proc/PID/stat; the second, in parentheses, may hold anything. A zombie is no living process.
  private static func startTicks(of pid: Int32) -> UInt64? {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
      let name = text.lastIndex(of: ")")
    else { return nil }
    let fields = text[text.index(after: name)...].split(separator: " ")
    guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return fields.isEmpty ? nil : 0 }
    return UInt64(fields[19])
  }
}
