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
