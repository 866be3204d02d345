import CZeroMQ
import Foundation

/// One libzmq message at an address that does not change until it is closed.
///
/// Handed from the receiving thread to whoever releases the `Data` over it last. Between the two nobody touches the
/// message itself, only the bytes it holds, which nobody writes; the reference count orders the last read before `deinit`.
/// Hence `@unchecked Sendable`.
final class ReceivedFrame: @unchecked Sendable {
  let message: UnsafeMutablePointer<zmq_msg_t>

  /// libzmq decodes smaller frames in place in its 8 KiB read buffer, where they would be unaligned and keep the whole
  /// buffer alive.
  static let smallestUncopied = 8_192

  init() {
    message = .allocate(capacity: 1)
    zmq_msg_init(message)
  }

  deinit {
    zmq_msg_close(message)
    message.deallocate()
  }

  var hasMore: Bool { zmq_msg_more(message) != 0 }

  /// The name the admission handler gave the sender, or nil on a connection without admission.
  ///
  /// A peer cannot forge it: libzmq enters the handler's properties before the ones a peer claims, and never replaces one.
  var userID: String? {
    // libzmq owns the text and keeps it as long as the message.
    zmq_msg_gets(message, CZMQ_USER_ID_PROPERTY).map { String(cString: $0) }
  }

  /// The file descriptor of the connection that it came over; nil where libzmq does not say.
  var descriptor: Int32? {
    let descriptor = zmq_msg_get(message, ZMQ_SRCFD)
    return descriptor >= 0 ? descriptor : nil
  }

  /// The frame's bytes. A large frame is not copied: the `Data` keeps this object alive, and this object the bytes.
  func bytes() -> Data {
    let count = zmq_msg_size(message)
    guard count > 0, let address = zmq_msg_data(message) else { return Data() }
    guard count >= Self.smallestUncopied else { return Data(bytes: address, count: count) }
    // `address` is valid until zmq_msg_close, which only deinit calls; the deallocator's hold on self puts that off until
    // the last copy of the Data is gone. Data never writes through a pointer given with a deallocator that others share:
    // it copies before its first change unless it is the only owner, and then a change harms nobody.
    return Data(
      bytesNoCopy: address, count: count, deallocator: .custom { [self] _, _ in withExtendedLifetime(self) {} })
  }
}

/// A multipart message as it came from a socket.
struct ReceivedMessage {
  /// Empty when there were more than allowed.
  let parts: [Data]
  /// How many there were.
  let partCount: Int
  /// Whose connection it came over, where admission is in force.
  let userID: String?
  /// Of that connection.
  let descriptor: Int32?
}

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
