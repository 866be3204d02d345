import Foundation

@testable import Protocol

/// Blocks the calling thread.
func pause(_ duration: Duration) {
  Thread.sleep(forTimeInterval: duration.seconds)
}

/// The error a call throws, or nil.
func failure<Result>(of call: () throws -> Result) -> TransportError? {
  do {
    _ = try call()
    return nil
  } catch {
    return error as? TransportError
  }
}

/// The first error `receive` throws, however many empty waits come before it.
func nextFailure(_ channel: some OwnerChannel) -> TransportError? {
  let end = ContinuousClock.now + Site.patience
  while ContinuousClock.now < end {
    if let error = failure(of: { try channel.receive(timeout: .seconds(1)) }) { return error }
  }
  return nil
}

func text(_ string: String) -> Message {
  [Data(string.utf8)]
}

/// Bytes that differ from place to place, so that a shift or a cut shows.
func pattern(_ count: Int) -> Data {
  var data = Data(count: count)
  data.withUnsafeMutableBytes { bytes in
    for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: index &* 31 &+ index >> 8) }
  }
  return data
}
