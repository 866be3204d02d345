import CZeroMQ
import Foundation

/// How much of what was sent over each connection the other end has taken: what TCP has sent there and has had acknowledged, against what was
/// handed to libzmq, which tells nothing of it.
///
/// Little more than an estimate: keep-alive messages are not counted, so that what is unread is put too low by theirs until all is read.
struct ConnectionFlows {
  private struct Flow {
    /// Of the connection. Once that has ended the number may be another's, whose figures are then as good as any: nothing is sent to the one
    /// that has ended.
    let descriptor: Int32
    /// Bytes on the wire since the connection was last seen with nothing unread.
    var sent = 0
    /// Bytes that were acknowledged until then.
    var base = 0
  }

  private var flows: [[UInt8]: Flow] = [:]
  /// Which connection has a descriptor now; the one before is forgotten, so that there are no more than a process may have open.
  private var names: [Int32: [UInt8]] = [:]

  mutating func receives(from name: [UInt8], descriptor: Int32?) {
    guard let descriptor, flows[name]?.descriptor != descriptor else { return }
    if let old = flows[name]?.descriptor { names[old] = nil }
    if let other = names.updateValue(name, forKey: descriptor) { flows[other] = nil }
    var flow = Flow(descriptor: descriptor)
    // Of the handshake.
    flow.base = Self.acknowledged(descriptor) ?? 0
    flows[name] = flow
  }

  mutating func sends(_ parts: [Data], to name: [UInt8]) {
    flows[name]?.sent += parts.reduce(0) { $0 + Self.bytesOnTheWire($1.count) }
  }

  mutating func unreadBytes(of name: [UInt8]) -> Int? {
    guard let flow = flows[name], let acknowledged = Self.acknowledged(flow.descriptor) else { return nil }
    let unread = flow.sent - max(0, acknowledged - flow.base)
    guard unread <= 0 else { return unread }
    flows[name]?.sent = 0
    flows[name]?.base = acknowledged
    return 0
  }

  private static func acknowledged(_ descriptor: Int32) -> Int? {
    let bytes = czmq_acknowledged_bytes(descriptor)
    return bytes < 0 ? nil : Int(bytes)
  }

  /// What CURVE makes of a frame, and 2 bytes before it, or 9 where it is long (ZMTP 3.1).
  private static func bytesOnTheWire(_ frame: Int) -> Int {
    let bytes = frame + ZeroMQSocket.curveOverhead
    return bytes + (bytes > 255 ? 9 : 2)
  }
}
