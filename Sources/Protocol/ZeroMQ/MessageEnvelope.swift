package import Foundation

/// How a message travels: a table of its frames' lengths first, then the frames, the large ones cut into pieces.
///
/// Cut, because libzmq takes only whole frames of its own as a sign of life: on a slow link one that took longer than the
/// heartbeat timeout would end the connection every time it was tried. Pieces also keep the size that libzmq must accept, even
/// from a stranger during the handshake, far below the size of a message.
///
/// The table: 4 bytes of signature, 1 of version, 1 of kind, 2 of zero, then 8 bytes of length for each frame, least
/// significant byte first. A frame of n bytes follows as ⌈n / piece⌉ pieces, all full but the last; an empty frame has none.
package enum MessageEnvelope {
  package enum Content: Equatable {
    case message(Message)
    /// The server no longer serves this key. libzmq offers no way to end one peer's connection.
    case keyRemoved
    /// The first message of a server on a connection that it made: it tells an owner that listens that the server is there.
    case serverArrived
    /// Has no content; whether it can be sent shows whether the connection still exists.
    case probe
  }

  /// Why what arrived is not a message. Holds no content.
  package enum Defect: Error, Equatable {
    case malformed
    case version(UInt8)
    case frameCount(Int)
    case frameTooLarge(bytes: Int)
  }

  private static let signature = Data("EqTr".utf8)
  private static let version: UInt8 = 1
  private static let messageKind: UInt8 = 0
  private static let keyRemovedKind: UInt8 = 1
  private static let serverArrivedKind: UInt8 = 2
  private static let probeKind: UInt8 = 3
  private static let headerBytes = 8
  private static let lengthBytes = 8

  static let keyRemoved: [Data] = [header(keyRemovedKind)]
  static let serverArrived: [Data] = [header(serverArrivedKind)]
  static let probe: [Data] = [header(probeKind)]

  /// The table and the pieces, which share the frames' storage.
  package static func parts(of message: Message, pieceBytes: Int) -> [Data] {
    var table = header(messageKind)
    for frame in message {
      withUnsafeBytes(of: UInt64(frame.count).littleEndian) { table.append(contentsOf: $0) }
    }
    let pieces = message.flatMap { frame in
      stride(from: 0, to: frame.count, by: pieceBytes).map { offset in
        frame.dropFirst(offset).prefix(pieceBytes)
      }
    }
    return [table] + pieces
  }

  static func tableBytes(frames: Int) -> Int {
    headerBytes + lengthBytes * min(max(frames, 0), 1 << 20)
  }

  /// The most parts an acceptable message has.
  static func maximumParts(_ options: TransportOptions) -> Int {
    let pieces = options.maximumFrameBytes / options.pieceBytes + 1
    let (parts, overflow) = options.maximumFrames.multipliedReportingOverflow(by: pieces)
    return overflow || parts == .max ? .max : parts + 1
  }

  /// The message in these parts, whose lengths must be exactly those of the table.
  package static func read(_ parts: [Data], options: TransportOptions) throws(Defect) -> Content {
    guard let table = parts.first, table.count >= headerBytes, table.prefix(4) == signature else { throw .malformed }
    let fields = Array(table.dropFirst(4))
    guard fields[0] == version else { throw .version(fields[0]) }
    guard fields[2] == 0, fields[3] == 0 else { throw .malformed }
    if parts.count == 1, table.count == headerBytes {
      switch fields[1] {
      case keyRemovedKind: return .keyRemoved
      case serverArrivedKind: return .serverArrived
      case probeKind: return .probe
      default: break
      }
    }
    guard fields[1] == messageKind else { throw .malformed }

    let lengths = Array(fields.dropFirst(headerBytes - 4))
    guard lengths.count.isMultiple(of: lengthBytes) else { throw .malformed }
    let frameCount = lengths.count / lengthBytes
    guard (1...max(1, options.maximumFrames)).contains(frameCount) else { throw .frameCount(frameCount) }

    var message: Message = []
    var rest = parts.dropFirst()
    for number in 0..<frameCount {
      let place = number * lengthBytes
      let value = lengths[place..<place + lengthBytes].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      guard let length = Int(exactly: value), length <= options.maximumFrameBytes else {
        throw .frameTooLarge(bytes: Int(clamping: value))
      }
      let pieceCount = length / options.pieceBytes + (length.isMultiple(of: options.pieceBytes) ? 0 : 1)
      let pieces = rest.prefix(pieceCount)
      rest = rest.dropFirst(pieceCount)
      guard pieces.count == pieceCount, pieces.dropLast().allSatisfy({ $0.count == options.pieceBytes }),
        pieces.reduce(0, { $0 + $1.count }) == length
      else { throw .malformed }
      message.append(joined(pieces, length: length))
    }
    guard rest.isEmpty else { throw .malformed }
    return .message(message)
  }

  private static func header(_ kind: UInt8) -> Data {
    signature + [version, kind, 0, 0]
  }

  /// The one piece itself, or several copied together.
  private static func joined(_ pieces: ArraySlice<Data>, length: Int) -> Data {
    if let only = pieces.first, pieces.count == 1 { return only }
    var frame = Data(capacity: length)
    for piece in pieces { frame.append(piece) }
    return frame
  }
}

extension MessageEnvelope.Defect {
  /// What the owner is told.
  func asError(peer: String, options: TransportOptions) -> TransportError {
    switch self {
    case .malformed, .version: .malformedMessage(peer: peer)
    case .frameCount(let count): .frameCount(count, maximum: options.maximumFrames)
    case .frameTooLarge(let bytes): .frameTooLarge(bytes: bytes, maximum: options.maximumFrameBytes)
    }
  }

  /// What the server reports.
  var asRefusal: Refusal.Reason {
    switch self {
    case .malformed, .version: .malformedMessage
    case .frameCount(let count): .frameCount(count)
    case .frameTooLarge(let bytes): .frameTooLarge(bytes: bytes)
    }
  }
}
