import CZeroMQ
import Foundation
import Testing
import TestSupport

@testable import Protocol

@Suite("Frames without copies")
struct FrameTests {
  @Test func aLargeFrameIsSentFromTheBytesOfItsData() throws {
    let count = 1 << 20
    let memory = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 64)
    memory.initializeMemory(as: UInt8.self, repeating: 7, count: count)
    let isReleased = Flag()
    var frame: Data? = Data(
      bytesNoCopy: memory, count: count,
      deallocator: .custom { pointer, _ in
        pointer.deallocate()
        isReleased.raise()
      })
    let message = UnsafeMutablePointer<zmq_msg_t>.allocate(capacity: 1)
    defer { message.deallocate() }
    #expect(SentFrame.initialize(message, with: try #require(frame)) == 0)
    #expect(zmq_msg_data(message) == memory)
    #expect(zmq_msg_size(message) == count)
    // The message alone keeps the bytes, and gives them back when libzmq has sent it.
    frame = nil
    #expect(!isReleased.isRaised)
    zmq_msg_close(message)
    #expect(isReleased.isRaised)
  }

  @Test func aSliceIsSentFromItsOwnPart() throws {
    let whole = pattern(100_000)
    let slice = whole[50_000..<90_000]
    let message = UnsafeMutablePointer<zmq_msg_t>.allocate(capacity: 1)
    defer { message.deallocate() }
    #expect(SentFrame.initialize(message, with: slice) == 0)
    defer { zmq_msg_close(message) }
    let address = try #require(zmq_msg_data(message))
    #expect(slice.withUnsafeBytes { $0.baseAddress } == UnsafeRawPointer(address))
    #expect(Data(bytes: address, count: zmq_msg_size(message)) == slice)
  }

  @Test func aSmallFrameIsCopied() throws {
    for count in [0, 1, 14, 15, SentFrame.smallestUncopied - 1] {
      let frame = pattern(count)
      let message = UnsafeMutablePointer<zmq_msg_t>.allocate(capacity: 1)
      defer { message.deallocate() }
      #expect(SentFrame.initialize(message, with: frame) == 0)
      defer { zmq_msg_close(message) }
      #expect(zmq_msg_size(message) == count)
      if let address = zmq_msg_data(message) { #expect(Data(bytes: address, count: count) == frame) }
    }
  }

  @Test func aLargeReceivedFrameIsTheLibrarysOwnBuffer() throws {
    var frame: ReceivedFrame? = ReceivedFrame()
    weak let kept = frame
    let message = try #require(frame).message
    #expect(zmq_msg_init_size(message, ReceivedFrame.smallestUncopied) == 0)
    var bytes: Data? = frame?.bytes()
    #expect(bytes?.withUnsafeBytes { $0.baseAddress } == UnsafeRawPointer(zmq_msg_data(message)))
    frame = nil
    #expect(kept != nil)
    bytes = nil
    #expect(kept == nil)
  }
}
