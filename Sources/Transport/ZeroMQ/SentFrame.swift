import CZeroMQ
import Foundation

/// Keeps the bytes of a frame in place while libzmq reads them.
final class SentFrame {
  private let bytes: Data

  /// Below this size a copy costs less than the bookkeeping.
  static let smallestUncopied = 1_024

  private init(_ bytes: Data) {
    self.bytes = bytes
  }

  /// Makes `message`, which must be uninitialized, hold the bytes of `frame`, uncopied where that is possible.
  ///
  /// Why the pointer stays valid: a `Data` keeps larger contents in storage on the heap that all its copies share. The
  /// object made here owns such a copy until libzmq calls the release function, so the storage lives; and whoever changes
  /// another copy meanwhile finds the storage shared and copies it first, so it neither moves nor changes. That this `Data`
  /// is of that kind is checked, not assumed: contents held in the value itself would have another address in the copy, and
  /// then the bytes are copied.
  ///
  /// - Returns: 0, or −1 with libzmq's error number set and `message` uninitialized.
  static func initialize(_ message: UnsafeMutablePointer<zmq_msg_t>, with frame: Data) -> Int32 {
    if frame.count >= smallestUncopied {
      let holder = SentFrame(frame)
      let original = frame.withUnsafeBytes { $0.baseAddress }
      let address = holder.bytes.withUnsafeBytes { $0.baseAddress }
      if let address, address == original {
        let hint = Unmanaged.passRetained(holder)
        // libzmq takes a mutable pointer for its C interface's sake; it only reads a message that is being sent.
        let result = zmq_msg_init_data(
          message, UnsafeMutableRawPointer(mutating: address), frame.count,
          { _, hint in
            // Called once, on libzmq's I/O thread; releasing is an atomic count.
            if let hint { Unmanaged<SentFrame>.fromOpaque(hint).release() }
          }, hint.toOpaque())
        if result != 0 { hint.release() }
        return result
      }
    }
    guard zmq_msg_init_size(message, frame.count) == 0 else { return -1 }
    if let address = zmq_msg_data(message) {
      frame.copyBytes(to: UnsafeMutableRawBufferPointer(start: address, count: frame.count))
    }
    return 0
  }
}
